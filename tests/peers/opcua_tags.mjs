// A PLC with many tags that nobody of this project wrote: node-opcua's server with tags T0, T1, … (Double), which all take the number of the tick.
//
//   node opcua_tags.mjs PORT PKI_FOLDER '{"tags": 1000, "hz": 5, "from": 0}'
//
// Prints = {"ready": true} when it listens. {"stop": true} -> {"tick": n}: it ticks no more. {"tick": true} -> {"tick": n}
import { createInterface } from "node:readline";
import { OPCUACertificateManager } from "node-opcua-certificate-manager";
import { MessageSecurityMode, SecurityPolicy } from "node-opcua-secure-channel";
import { OPCUAServer } from "node-opcua-server";
import { StatusCodes } from "node-opcua-status-code";
import { DataType, Variant } from "node-opcua-variant";

const [port, folder, how] = process.argv.slice(2);
const { tags, hz, from } = { tags: 1000, hz: 5, from: 0, ...JSON.parse(how) };
const server = new OPCUAServer({
  port: Number(port),
  hostname: "127.0.0.1",
  serverCertificateManager: new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true }),
  securityModes: [MessageSecurityMode.SignAndEncrypt],
  securityPolicies: [SecurityPolicy.Basic256Sha256],
  allowAnonymous: false,
  serverCapabilities: { minSupportedSampleRate: 0, maxMonitoredItemsQueueSize: 1000 },
  userManager: { isValidUser: (name, password) => name === "edge" && password === "secret" },
});
await server.initialize();
const space = server.engine.addressSpace;
const own = space.registerNamespace("urn:gemba:test:plc");
let tick = from;
const value = () => new Variant({ dataType: DataType.Double, value: tick });
const nodes = Array.from({ length: tags }, (_, i) =>
  own.addVariable({ organizedBy: space.rootFolder.objects, browseName: `T${i}`, nodeId: `s=T${i}`, dataType: DataType.Double, minimumSamplingInterval: 0 }),
);
nodes.forEach((node) => node.setValueFromSource(value(), StatusCodes.Good, new Date()));
await server.start();

const say = (found) => console.log(`= ${JSON.stringify(found)}`);
const due = Date.now();
let ticks = 0;
const timer = setInterval(() => {
  while (due + (ticks + 1) * (1000 / hz) <= Date.now()) {
    ticks += 1;
    tick += 1;
    const stamp = new Date(due + ticks * (1000 / hz));
    nodes.forEach((node) => node.setValueFromSource(value(), StatusCodes.Good, stamp));
  }
}, 10);
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  if (JSON.parse(line).stop) clearInterval(timer);
  say({ tick });
}
await server.shutdown(0);
