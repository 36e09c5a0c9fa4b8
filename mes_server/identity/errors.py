"""Sign-in and people errors. What a stranger sees is neutral: it never tells which part was wrong or who exists."""

from __future__ import annotations

from mes_server.kit.errors import Conflict, MesError, NotFound, NotSignedIn, Refused


class SignInRefused(NotSignedIn):
    """Unknown, wrong or inactive: always the same words."""

    code = "sign_in_refused"
    en = "This sign-in is not valid."
    zh = "登录信息无效。"
    next_en = "Try again, or use your badge."
    next_zh = "请重试，或使用工牌登录。"


class SessionEnded(NotSignedIn):
    """Timed out, signed out elsewhere, or the rights of the person were changed."""

    code = "session_ended"
    en = "Your session has ended."
    zh = "会话已结束。"
    next_en = "Sign in again; what you entered on this device is kept."
    next_zh = "请重新登录；本机已录入的内容会保留。"


class HeaderMissing(NotSignedIn):
    """A write by cookie without the header that another site's page cannot send."""

    code = "header_missing"
    status = 403
    en = "The request lacks the header X-Gemba."
    zh = "请求缺少 X-Gemba 头。"
    next_en = "Use this server's own pages, or a bearer token."
    next_zh = "请使用本服务器的页面，或使用访问令牌。"


class TooManyTries(MesError):
    """A bound on sign-in tries was reached, for a person, a device or an address."""

    code = "too_many_tries"
    status = 429
    en = "Too many wrong tries. Wait {retry_s} s."
    zh = "错误次数过多，请等待 {retry_s} 秒。"
    next_en = "Your badge works at once."
    next_zh = "可直接使用工牌登录。"


class SetupClosed(Conflict):
    """The first administrator exists; set-up is closed for ever."""

    code = "setup_closed"
    en = "This server is set up already."
    zh = "本服务器已完成初始化。"
    next_en = "Sign in, or ask your administrator for an account."
    next_zh = "请登录，或请管理员开通账户。"


class SetupTokenWrong(NotSignedIn):
    """Not the token, or it has run out."""

    code = "setup_token_wrong"
    en = "The set-up token is not valid or has run out."
    zh = "初始化令牌无效或已过期。"
    next_en = "Run `gemba-server init` on the server; it prints a new one."
    next_zh = "请在服务器上运行 gemba-server init 获取新的令牌。"


class EnrolmentWrong(NotSignedIn):
    """Not a one-time code of this server, used, or run out."""

    code = "enrolment_wrong"
    en = "The device code is not valid or has run out."
    zh = "设备码无效或已过期。"
    next_en = "Ask an administrator for a new code; it lasts ten minutes."
    next_zh = "请管理员生成新的设备码，有效期十分钟。"


class DeviceUnknown(NotSignedIn):
    """The device was revoked or never enrolled."""

    code = "device_unknown"
    en = "This device is not registered here."
    zh = "此设备未登记。"
    next_en = "Register it again with a code from an administrator."
    next_zh = "请用管理员提供的设备码重新登记。"


class PersonExists(Conflict):
    code = "person_exists"
    en = "Person {person} exists already."
    zh = "人员 {person} 已存在。"
    next_en = "Change the person instead, or take another code."
    next_zh = "请修改该人员，或使用其他工号。"


class SignInNameTaken(Conflict):
    """Another person has this user name or badge."""

    code = "sign_in_name_taken"
    en = "This {what} belongs to somebody else."
    zh = "该{what}已属于他人。"
    next_en = "Take another one."
    next_zh = "请更换。"


class UnknownPerson(NotFound):
    code = "unknown_person"
    en = "There is no person {person}."
    zh = "没有人员 {person}。"
    next_en = "Check the code."
    next_zh = "请检查工号。"


class UnknownDevice(NotFound):
    code = "unknown_device"
    en = "There is no device {device}."
    zh = "没有设备 {device}。"
    next_en = "Look at the list of devices."
    next_zh = "请查看设备列表。"


class UnknownApiToken(NotFound):
    code = "unknown_api_token"
    en = "There is no API token {token}."
    zh = "没有 API 令牌 {token}。"
    next_en = "Look at the list of tokens."
    next_zh = "请查看令牌列表。"


class PasswordWeak(Refused):
    code = "password_weak"
    en = "The password is too easy: at least {length} characters, not the user name, not a common one."
    zh = "密码过于简单：至少 {length} 位，不能与用户名相同，不能是常见密码。"
    next_en = "Take a longer one; a sentence is good."
    next_zh = "请使用更长的密码，例如一句话。"


class PinWeak(Refused):
    code = "pin_weak"
    en = "The PIN needs six digits that are not in a row and not all the same."
    zh = "PIN 须为六位数字，且不能连号或全部相同。"
    next_en = "Take another PIN."
    next_zh = "请更换 PIN。"


class BadgeWeak(Refused):
    code = "badge_weak"
    en = "A badge code needs at least {length} letters and digits."
    zh = "工牌码至少需要 {length} 位字母或数字。"
    next_en = "Leave it out and ask for a new badge: the server makes one."
    next_zh = "可不填写，由系统生成新的工牌码。"


class RoleUnknown(Refused):
    code = "role_unknown"
    en = "There is no role {role}."
    zh = "没有角色 {role}。"
    next_en = "Roles: {roles}"
    next_zh = "可用角色：{roles}"


class LastAdministrator(Conflict):
    code = "last_administrator"
    en = "{person} is the last active administrator with a way to sign in."
    zh = "{person} 是最后一位可登录的管理员。"
    next_en = "Make somebody else administrator first."
    next_zh = "请先指定另一位管理员。"


class ShownOnce(Conflict):
    """The request was done before; its answer held a secret, which is kept nowhere."""

    code = "shown_once"
    en = "{subject} was made by this request before; its code or token was shown then and cannot be shown again."
    zh = "此请求此前已生成 {subject}；其代码或令牌当时已显示，无法再次显示。"
    next_en = "If it did not reach you, remove {subject} and make a new one."
    next_zh = "若未收到，请移除 {subject} 后重新生成。"
