// A client that nobody of this project wrote: node-opcua's own, which makes a session and a subscription of N tags as quickly as it can, again and again.
//
//   node opcua_client.mjs ITS_OWN_PORT_UNUSED PKI_FOLDER '{"port": 4840, "tags": 1000, "publishing_ms": 50}'
//
// Prints = {"ready": true} when it runs. {"connect": true} -> {"first_ms": when its first value came, ms since 1970}; nothing may listen yet: it looks
// every 20 ms. The connection is closed again. The mark that the agent's own return is held against (benchmarks/edge_failures.py).
import { createInterface } from "node:readline";
import { connect as dial } from "node:net";
import { OPCUACertificateManager } from "node-opcua-certificate-manager";
import {
  AttributeIds, ClientMonitoredItemGroup, MessageSecurityMode, OPCUAClient, SecurityPolicy, TimestampsToReturn, UserTokenType,
} from "node-opcua-client";

const [, folder, how] = process.argv.slice(2);
const { port, tags, publishing_ms } = { tags: 1000, publishing_ms: 50, ...JSON.parse(how) };
const url = `opc.tcp://127.0.0.1:${port}`;
const certificates = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
await certificates.initialize();

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function listens() {
  return new Promise((resolve) => {
    const socket = dial({ port, host: "127.0.0.1" });
    socket.once("connect", () => { socket.destroy(); resolve(true); });
    socket.once("error", () => resolve(false));
  });
}

async function connect() {
  while (!(await listens())) await pause(20);
  const client = OPCUAClient.create({
    clientCertificateManager: certificates,
    securityMode: MessageSecurityMode.SignAndEncrypt,
    securityPolicy: SecurityPolicy.Basic256Sha256,
    endpointMustExist: false,
    connectionStrategy: { initialDelay: 20, maxDelay: 50, maxRetry: 100 },
  });
  await client.connect(url);
  const session = await client.createSession({ type: UserTokenType.UserName, userName: "edge", password: "secret" });
  const subscription = await session.createSubscription2({
    requestedPublishingInterval: publishing_ms, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 10, maxNotificationsPerPublish: 10_000, publishingEnabled: true, priority: 0,
  });
  const items = Array.from({ length: tags }, (_, i) => ({ nodeId: `ns=2;s=T${i}`, attributeId: AttributeIds.Value }));
  const group = ClientMonitoredItemGroup.create(subscription, items, { samplingInterval: 0, discardOldest: true, queueSize: 500 }, TimestampsToReturn.Source);
  const first = await new Promise((resolve) => group.once("changed", () => resolve(Date.now())));
  await subscription.terminate();
  await session.close();
  await client.disconnect();
  return { first_ms: first };
}

const say = (found) => console.log(`= ${JSON.stringify(found)}`);
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    say(JSON.parse(line).connect ? await connect() : {});
  } catch (error) {
    say({ error: String(error) });
  }
}
