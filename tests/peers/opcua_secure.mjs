// A server that nobody of this project wrote, with any security that OPC UA knows: node-opcua, one variable.
//
//   node opcua_secure.mjs PORT PKI_FOLDER '{"policies": ["Basic256Sha256"], "modes": ["Sign", "SignAndEncrypt"], "anonymous": true, "silent": false,
//                                           "certificate": "plc.pem", "key": "plc.key"}'
//
// Lets in edge / secret, any user certificate, and anonymous when told so. `silent`: says nothing over an unsecured channel. Orders and answers: see opcua_server.mjs.
//   {"channels": true} -> [{"mode": "Sign", "policy": "Basic256Sha256", "user": "edge" | "X509" | null}]
import { createInterface } from "node:readline";
import { OPCUACertificateManager } from "node-opcua-certificate-manager";
import { MessageSecurityMode, SecurityPolicy } from "node-opcua-secure-channel";
import { OPCUAServer } from "node-opcua-server";
import { DataType } from "node-opcua-variant";

const [port, folder, options] = process.argv.slice(2);
const wanted = JSON.parse(options);
const managers = ["server", "users"].map(
  (name) => new OPCUACertificateManager({ rootFolder: `${folder}/${name}`, automaticallyAcceptUnknownCertificate: true }),
);
const files = wanted.certificate ? { certificateFile: wanted.certificate, privateKeyFile: wanted.key } : {};
const server = new OPCUAServer({
  port: Number(port),
  hostname: "127.0.0.1",
  serverCertificateManager: managers[0],
  userCertificateManager: managers[1],
  securityModes: wanted.modes.map((name) => MessageSecurityMode[name]),
  securityPolicies: wanted.policies.map((name) => SecurityPolicy[name]),
  allowAnonymous: Boolean(wanted.anonymous),
  disableDiscovery: Boolean(wanted.silent),
  userManager: { isValidUser: (name, password) => name === "edge" && password === "secret" },
  serverInfo: wanted.uri ? { applicationUri: wanted.uri } : undefined,
  ...files,
});
await server.initialize();
const own = server.engine.addressSpace.registerNamespace("urn:gemba:test:plc");
own.addVariable({ organizedBy: server.engine.addressSpace.rootFolder.objects, browseName: "Good", nodeId: "s=M.Good", dataType: DataType.Int32, value: { dataType: DataType.Int32, value: 7 } });
await server.start();

function who(token) {
  return token?.userName ?? (token?.certificateData ? "X509" : null);
}

function channels() {
  return server.endpoints
    .flatMap((endpoint) => endpoint.getChannels())
    .filter((channel) => Object.keys(channel.sessionTokens).length > 0)
    .map((channel) => ({
      mode: MessageSecurityMode[channel.securityMode],
      policy: channel.securityPolicy.split("#")[1],
      user: who(Object.values(channel.sessionTokens)[0].userIdentityToken),
    }));
}

const say = (found) => console.log(`= ${JSON.stringify(found)}`); // the library prints lines of its own
say({ ready: true });
for await (const _ of createInterface({ input: process.stdin })) {
  say(channels());
}
await server.shutdown(0);
