"""What can be wrong with a plant model."""

from __future__ import annotations

from dataclasses import dataclass

from mes_server.kit.errors import Conflict, Lang, NotFound, Refused


@dataclass(frozen=True, slots=True)
class ModelFault:
    """One fault: where in the model, and what, in both languages."""

    where: str
    en: str
    zh: str


class PlantModelInvalid(Refused):
    """The model contradicts itself; every fault is named at once."""

    code = "plant_model_invalid"
    en = "The plant model has {count} fault(s): {faults}"
    zh = "工厂模型有 {count} 处错误：{faults}"
    next_en = "Correct them all and save again; nothing was changed."
    next_zh = "请全部更正后重新保存；未做任何更改。"

    def __init__(self, faults: list[ModelFault]) -> None:
        self.faults = faults
        super().__init__(count=len(faults), faults="; ".join(f"{fault.where}: {fault.en}" for fault in faults[:50]))

    def say(self, lang: Lang) -> str:
        words = "; ".join(f"{fault.where}: {fault.zh if lang == 'zh' else fault.en}" for fault in self.faults[:50])
        return (self.zh if lang == "zh" else self.en).format(count=len(self.faults), faults=words)


class ZoneDiffers(Refused):
    """The model's zone is not the server's."""

    code = "plant_zone_differs"
    en = "The model says zone {model_zone}, this server runs in {server_zone}."
    zh = "模型时区为 {model_zone}，而服务器时区为 {server_zone}。"
    next_en = "Use the server's zone, or change `zone` in its configuration and restart it."
    next_zh = "请使用服务器的时区，或修改服务器配置中的 zone 并重启。"


class PlantChangedMeanwhile(Conflict):
    """Somebody saved the model after it was read."""

    code = "plant_changed_meanwhile"
    en = "The plant model was changed by somebody else since you opened it."
    zh = "您打开之后，工厂模型已被他人修改。"
    next_en = "Load it again and repeat your change."
    next_zh = "请重新加载后再修改。"


class NotInPlant(NotFound):
    """No machine, line, station, meter or reason has this code."""

    code = "not_in_plant"
    en = "The plant model has no {kind} {key}."
    zh = "工厂模型中没有 {key}（{kind}）。"
    next_en = "Check the code, or add it to the plant model."
    next_zh = "请检查代码，或在工厂模型中添加。"
