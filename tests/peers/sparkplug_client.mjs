// A third-party Sparkplug edge node (npm sparkplug-client, EPL-2.0) with one device, told over stdin: {"data": 1.5}, {"stop": true}, {"start": true}.
// Arguments: port (unused), folder (unused), {"broker_port", "user", "password"}.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const sparkplug = createRequire(import.meta.url)("sparkplug-client");
const { broker_port, user, password } = JSON.parse(process.argv[4]);
let births = 0;
let commands = 0;
let client;

function start() {
  client = sparkplug.newClient({
    serverUrl: `tcp://127.0.0.1:${broker_port}`,
    username: user,
    password,
    groupId: "PUMP",
    edgeNode: user,
    clientId: `peer-${user}`,
    version: "spBv1.0",
    publishDeath: true,
  });
  client.on("birth", birth);
  client.on("ncmd", (payload) => {
    commands += 1;
    if (payload.metrics.some((metric) => metric.name === "Node Control/Rebirth" && metric.value)) birth();
  });
  client.on("error", (error) => console.error(String(error)));
}

function birth() {
  births += 1;
  const timestamp = Date.now();
  client.publishNodeBirth({
    timestamp,
    metrics: [
      { name: "Node Control/Rebirth", type: "Boolean", value: false },
      { name: "load", type: "Double", value: 0.5 },
    ],
  });
  client.publishDeviceBirth("SAW-01", { timestamp, metrics: [{ name: "speed_rpm", type: "Double", value: 1 }] });
}

function answer(order) {
  if (order.start) start();
  if (order.stop) client.stop();
  if (order.data !== undefined) {
    const timestamp = Date.now();
    client.publishDeviceData("SAW-01", { timestamp, metrics: [{ name: "speed_rpm", type: "Double", value: order.data, timestamp }] });
    client.publishNodeData({ timestamp, metrics: [{ name: "load", type: "Double", value: order.data }] });
  }
  return { births, commands };
}

const say = (found) => console.log(`= ${JSON.stringify(found)}`);
start();
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) say(answer(JSON.parse(line)));
process.exit(0);
