// Machines of three companion models from the published NodeSets, as node-opcua makes them: nobody of this project wrote model or server.
//
//   node opcua_companion.mjs PORT PKI_FOLDER '{}'
//
// MC-01 is a MachineToolType (OPC 40501-1) with building blocks of OPC 40001-1, PRESS-01 a plain object with the building blocks only,
// FILL-01 a PackMLBaseObjectType (OPC 30050). MC-01 and FILL-01 keep a history of what a model reads. Orders and answers: one JSON a line, see opcua_server.mjs.
//   {"state": ["MC-01", "item", "Executing"]}            a state machine goes to this state (null: not active)
//   {"set": ["FILL-01", "Status/UnitModeCurrent", 1]}    a variable below the machine, by the names of its path
//   {"alarm": ["MC-01", "4711", true, 700]}              its condition becomes active or inactive, with this severity
//   {"acknowledge": ["MC-01", "4711"]}                   a person at the machine saw it
//   {"overflow": true}                                   says that it dropped events
//   {"forget": true}                                     the server ends all subscriptions
//   {"counts": ["FILL-01", "Admin/ProdProcessedCount", [[12, 112], [3, 3]]]}   an array of PackMLCountDataType: Count, AccCount
import { createInterface } from "node:readline";
import { MessageSecurityMode, SecurityPolicy } from "node-opcua-secure-channel";
import { OPCUACertificateManager } from "node-opcua-certificate-manager";
import { OPCUAServer } from "node-opcua-server";
import { nodesets } from "node-opcua-nodesets";
import { StatusCodes } from "node-opcua-status-code";
import { DataType, Variant, VariantArrayType } from "node-opcua-variant";

const [port, folder] = process.argv.slice(2);
const server = new OPCUAServer({
  port: Number(port),
  hostname: "127.0.0.1",
  serverCertificateManager: new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true }),
  securityModes: [MessageSecurityMode.None],
  securityPolicies: [SecurityPolicy.None],
  allowAnonymousSubscriptionTransferOnUnsecuredChannel: true,
  serverCapabilities: { minSupportedSampleRate: 0 },
  nodeset_filename: [
    nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery, nodesets.isa95JobControl, nodesets.machineryJobs, nodesets.machineTool,
    nodesets.packML,
  ],
});
await server.initialize();

const space = server.engine.addressSpace;
const own = space.registerNamespace("urn:gemba:test:plc");
const index = (uri) => space.getNamespaceIndex(`http://opcfoundation.org/UA/${uri}/`);
const [MACHINERY, TOOL, PACKML] = [index("Machinery"), index("MachineTool"), index("PackML")];

const itemType = space.findObjectType("MachineryItemState_StateMachineType", MACHINERY);
const modeType = space.findObjectType("MachineryOperationModeStateMachineType", MACHINERY);
const machines = {};
const OPTIONAL = ["CurrentState.Number"];
let nodes = 1000;
const id = () => `ns=${own.index};s=blocks-${nodes++}`;

function blocks(parent) {
  const browseName = { name: "MachineryBuildingBlocks", namespaceIndex: MACHINERY };
  const folder = parent.getChildByName("MachineryBuildingBlocks", MACHINERY) ?? own.addObject({ componentOf: parent, typeDefinition: "FolderType", browseName, nodeId: id() });
  const made = {};
  for (const [key, type, name] of [["item", itemType, "MachineryItemState"], ["mode", modeType, "MachineryOperationMode"]]) {
    made[key] = type.instantiate({ componentOf: folder, browseName: { name, namespaceIndex: MACHINERY }, optionals: OPTIONAL, namespace: own, nodeId: id() });
  }
  return made;
}

const tool = space.findObjectType("MachineToolType", TOOL).instantiate({
  organizedBy: space.rootFolder.objects,
  browseName: "MC-01",
  namespace: own,
  nodeId: `ns=${own.index};s=MC-01`,
  optionals: ["Notification", "Notification.Messages", "Production.Statistics", "Production.Statistics.PartsProducedInLifetime", "Production.ActiveProgram.JobIdentifier", "Monitoring.MachineTool.FeedOverride"],
});
machines["MC-01"] = { node: tool, ...blocks(tool), program: tool.getComponentByName("Production").getComponentByName("ActiveProgram").getComponentByName("State") };

const press = own.addObject({ organizedBy: space.rootFolder.objects, browseName: "PRESS-01", nodeId: `ns=${own.index};s=PRESS-01` });
machines["PRESS-01"] = { node: press, ...blocks(press) };

const filler = space.findObjectType("PackMLBaseObjectType", PACKML).instantiate({
  organizedBy: space.rootFolder.objects,
  browseName: "FILL-01",
  namespace: own,
  nodeId: `ns=${own.index};s=FILL-01`,
  optionals: ["Admin.ProdProcessedCount", "Admin.ProdDefectiveCount", "Status.EquipmentBlocked", "Status.EquipmentStarved", "Status.CurMachSpeed"],
});
const base = filler.getComponentByName("BaseStateMachine");
const machine = base.getComponentByName("MachineState");
machines["FILL-01"] = { node: filler, base, machine, execute: machine.getComponentByName("ExecuteState") };
space.installAlarmsAndConditionsService();
const conditions = {};
for (const [name, place, type, code] of [
  ["MC-01", "Notification/Messages", space.findEventType("AlertType", TOOL), "4711"],
  ["MC-01", "Notification/Messages", space.findEventType("AlertType", TOOL), "0815"],
  ["PRESS-01", "", "AlarmConditionType", "Guard open"],
  ["FILL-01", "", "AlarmConditionType", "No bottles"],
]) {
  const { node } = machines[name];
  const source = place.split("/").reduce((at, part) => (part ? at.getChildByName(part) : at), node);
  if (!(node.eventNotifier & 1)) {
    node.setEventNotifier(1);
    space.rootFolder.objects.server.addReference({ referenceType: "HasEventSource", nodeId: node });
  }
  if (source !== node) {
    if (!source.getEventSourceOfs().length) node.addReference({ referenceType: "HasEventSource", nodeId: source });
  }
  const alarm = own.instantiateAlarmCondition(type, {
    browseName: `${code} condition`,
    componentOf: source,
    conditionName: source === node ? code : `Alert ${nodes}`,
    conditionSource: source,
    inputNode: machines[name].item?.getComponentByName("CurrentState") ?? machines[name].base.getComponentByName("CurrentState"),
    nodeId: id(),
  });
  alarm.getChildByName("ErrorCode", TOOL)?.setValueFromSource({ dataType: DataType.String, value: code });
  conditions[`${name} ${code}`] = alarm;
}

for (const { node, ...states } of [machines["MC-01"], machines["FILL-01"]]) {
  const names = ["Monitoring/MachineTool/OperationMode", "Monitoring/MachineTool/FeedOverride", "Production/Statistics/PartsProducedInLifetime",
    "Production/ActiveProgram/JobIdentifier", "Status/StateCurrent", "Status/UnitModeCurrent", "Status/EquipmentBlocked", "Status/CurMachSpeed",
    "Admin/ProdProcessedCount", "Admin/ProdDefectiveCount"]; // prettier-ignore
  const found = names.map((path) => path.split("/").reduce((at, part) => at?.getChildByName(part), node));
  for (const state of Object.values(states)) {
    const current = state.getComponentByName("CurrentState");
    found.push(current, current.getPropertyByName("Id"), current.getPropertyByName("Number"));
  }
  found.filter((one) => one).forEach((one) => space.installHistoricalDataNode(one, { maxOnlineValues: 1000 }));
}
await server.start();

function variable(name, path) {
  return path.split("/").reduce((node, part) => node.getChildByName(part) ?? fail(`${name}: no ${part} below ${node.browseName}`), machines[name].node);
}

function fail(text) {
  throw new Error(text);
}

function stateOf(machineNode, name) {
  const type = machineNode.typeDefinitionObj;
  return type.getComponentByName(name) ?? fail(`no state ${name} in ${type.browseName}`);
}

function put(node, value, status = StatusCodes.Good) {
  node?.setValueFromSource(value, status, new Date());
}

function goTo([name, key, state]) {
  const current = machines[name][key].getComponentByName("CurrentState");
  const id = current.getPropertyByName("Id");
  const number = current.getPropertyByName("Number");
  if (state === null) {
    for (const node of [current, id, number]) {
      put(node, new Variant({ dataType: DataType.Null }), StatusCodes.BadStateNotActive);
    }
    return;
  }
  const found = stateOf(machines[name][key], state);
  put(current, new Variant({ dataType: DataType.LocalizedText, value: { text: state } }));
  put(id, new Variant({ dataType: DataType.NodeId, value: found.nodeId }));
  put(number, new Variant({ dataType: DataType.UInt32, value: found.getPropertyByName("StateNumber").readValue().value.value }));
}

function counts([name, path, rows]) {
  const type = space.findDataType("PackMLCountDataType", PACKML);
  const value = rows.map(([count, accCount], id) => space.constructExtensionObject(type, { iD: id, name: `产品 ${id}`, count, accCount }));
  put(variable(name, path), new Variant({ dataType: DataType.ExtensionObject, arrayType: VariantArrayType.Array, value }));
}

function alarm([name, code, active, severity]) {
  const condition = conditions[`${name} ${code}`];
  if (active) condition.activateAlarm();
  else condition.deactivateAlarm(false);
  condition.raiseNewCondition({ message: `${code} on ${name}`, severity, quality: StatusCodes.Good, retain: active });
}

function acknowledge([name, code]) {
  const condition = conditions[`${name} ${code}`];
  condition.acknowledgeCondition?.();
  condition.currentBranch().setAckedState(true);
  condition.raiseNewCondition({ message: "seen", severity: condition.currentBranch().getSeverity(), quality: StatusCodes.Good, retain: true });
}

function forget() {
  const engines = [server.engine._orphanPublishEngine, ...Object.values(server.engine._sessions).map((session) => session.publishEngine)];
  for (const engine of engines.filter((one) => one)) {
    for (const subscription of [...engine.subscriptions]) {
      subscription.terminate();
    }
  }
}

function answer(order) {
  if (order.alarm) alarm(order.alarm);
  if (order.acknowledge) acknowledge(order.acknowledge);
  if (order.overflow) space.rootFolder.objects.server.raiseEvent("EventQueueOverflowEventType", {});
  if (order.forget) forget();
  if (order.state) goTo(order.state);
  if (order.counts) counts(order.counts);
  if (order.set) {
    const [name, path, value] = order.set;
    const node = variable(name, path);
    const before = node.readValue().value;
    const dataType = before.dataType === DataType.Null ? node.dataTypeObj.basicDataType ?? DataType.Int32 : before.dataType;
    put(node, new Variant({ dataType, value }));
  }
  return { ok: true };
}

const say = (found) => console.log(`= ${JSON.stringify(found)}`); // the library prints lines of its own
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    say(answer(JSON.parse(line)));
  } catch (error) {
    say({ error: String(error) });
  }
}
await server.shutdown(0);
