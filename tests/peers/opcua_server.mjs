// A PLC that nobody of this project wrote: node-opcua's server with one machine of it. Only SignAndEncrypt (Basic256Sha256), only user edge / secret;
// with --open no security and anybody; --transfer: hands subscriptions over without security too; --history: keeps the last 10,000 values of each.
//
//   node opcua_server.mjs [--open] [--transfer] [--history] PORT PKI_FOLDER '{"Good": 65530}'
//
// Starts with these values and prints {"ready": true} when it listens. Then one JSON order a line on stdin, one JSON answer a line on stdout after "= ":
//   {"set": {"Good": 7, "State": 6}, "t_ms": 1767225600000} -> {"ok": true}   values with the server's source time; a missing t_ms: now
//   {"get": ["Good"]}                                       -> {"Good": {"value": 7, "t_ms": 1767225600000}}   what the server holds
//   {"sessions": true}                                      -> 1   how many are open
//   {"channels": true}                                      -> [{"mode": "SignAndEncrypt", "policy": "Basic256Sha256", "user": "edge"}]
import { createInterface } from "node:readline";
import { OPCUACertificateManager } from "node-opcua-certificate-manager";
import { MessageSecurityMode, SecurityPolicy } from "node-opcua-secure-channel";
import { OPCUAServer } from "node-opcua-server";
import { StatusCodes } from "node-opcua-status-code";
import { DataType, Variant } from "node-opcua-variant";

const flags = process.argv.slice(2).filter((word) => word.startsWith("--"));
const [port, folder, first] = process.argv.slice(2 + flags.length);
const isOpen = flags.includes("--open");
const NAMESPACE = "urn:gemba:test:plc";
const TYPES = {
  State: [DataType.Int32, 0],
  Good: [DataType.UInt16, 0],
  Scrap: [DataType.Int32, 0],
  Order: [DataType.String, ""],
  Temperature: [DataType.Double, 0],
};
const initial = JSON.parse(first);

const certificates = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
const server = new OPCUAServer({
  port: Number(port),
  hostname: "127.0.0.1",
  serverCertificateManager: certificates,
  securityModes: [isOpen ? MessageSecurityMode.None : MessageSecurityMode.SignAndEncrypt],
  securityPolicies: [isOpen ? SecurityPolicy.None : SecurityPolicy.Basic256Sha256],
  allowAnonymous: isOpen,
  allowAnonymousSubscriptionTransferOnUnsecuredChannel: flags.includes("--transfer"),
  serverCapabilities: { minSupportedSampleRate: 0 }, // every change is told; as delivered it tells one in 50 ms. Room for ten sessions, as delivered
  userManager: { isValidUser: (name, password) => name === "edge" && password === "secret" },
});
await server.initialize();

const space = server.engine.addressSpace;
const own = space.registerNamespace(NAMESPACE);
const nodes = {};
for (const [name, [dataType, zero]] of Object.entries(TYPES)) {
  nodes[name] = own.addVariable({
    organizedBy: space.rootFolder.objects,
    browseName: name,
    nodeId: `s=SAW-01.${name}`,
    dataType,
    minimumSamplingInterval: 0,
  });
  if (flags.includes("--history")) {
    space.installHistoricalDataNode(nodes[name], { maxOnlineValues: 10_000 });
  }
  nodes[name].setValueFromSource(new Variant({ dataType, value: initial[name] ?? zero }), StatusCodes.Good, new Date());
}
await server.start();

function held(name) {
  const data = nodes[name].readValue();
  return { value: data.value.value, t_ms: data.sourceTimestamp.getTime() };
}

function channels() {
  return server.endpoints
    .flatMap((endpoint) => endpoint.getChannels())
    .filter((channel) => Object.keys(channel.sessionTokens).length > 0)
    .map((channel) => ({
      mode: MessageSecurityMode[channel.securityMode],
      policy: channel.securityPolicy.split("#")[1],
      user: Object.values(channel.sessionTokens)[0].userIdentityToken?.userName ?? null,
    }));
}

function answer(order) {
  if (order.set) {
    const stamp = order.t_ms === undefined ? new Date() : new Date(order.t_ms);
    for (const [name, value] of Object.entries(order.set)) {
      nodes[name].setValueFromSource(new Variant({ dataType: TYPES[name][0], value }), StatusCodes.Good, stamp);
    }
    return { ok: true };
  }
  if (order.sessions) return server.engine.currentSessionCount;
  return order.get ? Object.fromEntries(order.get.map((name) => [name, held(name)])) : channels();
}

const say = (found) => console.log(`= ${JSON.stringify(found)}`); // the library prints lines of its own
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  say(answer(JSON.parse(line)));
}
await server.shutdown(0);
