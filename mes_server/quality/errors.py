"""What can be wrong with a quality act."""

from __future__ import annotations

from mes_server.kit.errors import Conflict, MesError, NotFound, Refused


class DefectCodeUnknown(NotFound):
    code = "defect_code_unknown"
    en = "Defect code {defect} is not known here."
    zh = "系统中没有缺陷代码 {defect}。"
    next_en = "Choose one of the defect tiles."
    next_zh = "请选择一个缺陷代码。"


class HoldUnknown(NotFound):
    code = "hold_unknown"
    en = "There is no such hold."
    zh = "没有该冻结记录。"
    next_en = "Look at the open holds."
    next_zh = "请查看未解除的冻结。"


class AlreadyReleased(Conflict):
    code = "already_released"
    en = "This hold was released by {person} at {since}."
    zh = "该冻结已由 {person} 于 {since} 解除。"
    next_en = "Nothing more to do."
    next_zh = "无需再操作。"


class PhotoUnknown(NotFound):
    code = "photo_unknown"
    en = "Photo {photo} is not here."
    zh = "没有照片 {photo}。"
    next_en = "Take the photo again, or send the defect without it."
    next_zh = "请重新拍照，或不带照片提交。"


class NotAPhoto(Refused):
    code = "not_a_photo"
    en = "This is not a JPEG, PNG or WebP picture."
    zh = "不是 JPEG、PNG 或 WebP 图片。"
    next_en = "Take the photo again with the tablet's camera."
    next_zh = "请用平板相机重新拍照。"


class PhotoTooLarge(MesError):
    code = "photo_too_large"
    status = 413
    en = "The photo is larger than {limit_mb} MB."
    zh = "照片超过 {limit_mb} MB。"
    next_en = "Take it again with a lower resolution."
    next_zh = "请降低分辨率后重新拍照。"


class SubjectUnknown(NotFound):
    code = "subject_unknown"
    en = "{subject} is not known here."
    zh = "系统中没有 {subject}。"
    next_en = "Scan the label again."
    next_zh = "请重新扫描标签。"
