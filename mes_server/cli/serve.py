"""init, serve, migrate."""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from fastapi import FastAPI
from pydantic import ValidationError
from sqlalchemy.orm import Session

from edge_agent.contract.clock import PlantClock, iso
from edge_agent.contract.topics import ID_PATTERN
from mes_server import migrations
from mes_server.app import create_app, make_server
from mes_server.cli import dumps
from mes_server.cli.words import IN_USE, STOPPED, WRONG_USE, CommandFailed, say
from mes_server.config import Settings
from mes_server.identity import access, rules
from mes_server.identity.hashing import Hasher
from mes_server.ingest.edge_access import invite
from mes_server.kit.actor import SYSTEM
from mes_server.kit.acts import Acts
from mes_server.kit.db import Database
from mes_server.kit.errors import MesError, StorageFailed
from mes_server.kit.live import Live
from mes_server.kit.lock import DataFolderLock, is_held
from mes_server.kit.wording import listed
from mes_server.plant import service as plant
from mes_server.plant.schemas import PutPlant


def clock_of(args: argparse.Namespace) -> PlantClock:
    """Plant time from --clock-start, --clock-anchor and --speed. Raises CommandFailed."""
    try:
        return PlantClock.parse(args.clock_start, args.clock_anchor, args.speed)
    except ValueError as error:
        raise CommandFailed(f"时钟参数错误：{error}", f"The clock options are wrong: {error}", exit_code=WRONG_USE) from error


def make_folder(settings: Settings) -> None:
    """The data folder, for the server's user only."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        if not any(settings.data_dir.iterdir()):
            settings.data_dir.chmod(0o700)
    except OSError as error:
        where = settings.data_dir
        raise CommandFailed(
            f"无法使用数据目录 {where}：{error.strerror}。请用 --data 指定可写目录。",
            f"The data folder {where} cannot be used: {error.strerror}. Name a writable one with --data.",
            exit_code=WRONG_USE,
        ) from error


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The store, or the words why it cannot be opened."""
    db = Database(settings.database_url)
    try:
        db.ping()
        yield db
    except (StorageFailed, sa.exc.SQLAlchemyError, sqlite3.DatabaseError) as error:
        why = error.__cause__ or error
        raise CommandFailed(
            f"无法打开数据库：{why}。请检查 database.url 及数据库服务。文件保持原样。",
            f"The database cannot be opened: {why}. Check database.url and its server. The file is left as it is.",
        ) from error
    finally:
        db.close()


def bring_up(settings: Settings, db: Database) -> bool:
    """Migrates, with a copy of the store before; tells whether anything was to do."""
    present, newest = migrations.current(db.writer), migrations.head()
    if present == newest:
        return False
    if present is not None:
        if present not in migrations.known():
            raise CommandFailed(
                f"数据库版本 {present} 比本程序（{newest}）新。请安装较新的 gemba-mes。",
                f"The database is at revision {present}, newer than this program ({newest}). Install a newer gemba-mes.",
            )
        target = settings.backups_dir / f"before-{newest}-{stamp()}"
        target.mkdir(parents=True, exist_ok=True)
        dumps.dump(db, target)
        say(f"迁移前的副本：{target}", f"Copy before the migration: {target}")
    migrations.upgrade(db.writer)
    return True


def stamp() -> str:
    return iso(PlantClock().now_ms())[:19].replace(":", "").replace("-", "")


def migrate(settings: Settings, args: argparse.Namespace) -> int:
    make_folder(settings)
    lock = DataFolderLock(settings.data_dir)
    try:
        with opened(settings) as db:
            changed = bring_up(settings, db)
            if changed:
                say(f"数据库已升级到版本 {migrations.head()}。", f"The database is now at revision {migrations.head()}.")
            else:
                say(f"数据库已是最新版本 {migrations.head()}。", f"The database is at the newest revision {migrations.head()} already.")
    finally:
        lock.release()
    return 0


def init(settings: Settings, args: argparse.Namespace) -> int:
    """Makes folder and tables; then an administrator (unattended) or a set-up token. May run beside a server to get a new token."""
    clock = clock_of(args)
    make_folder(settings)
    running = is_held(settings.data_dir)
    with opened(settings) as db:
        if not running:
            bring_up(settings, db)
        acts = Acts(db, clock, Live())
        acts.start()
        try:
            if args.admin_user or args.admin_password_file:
                _make_administrator(settings, acts, args)
            else:
                token = _token(settings, acts)
                if token is None:
                    say("服务器已完成初始化，无需令牌。", "This server is set up already; no token is needed.")
                else:
                    tell_token(settings, token)
        finally:
            acts.stop()
    say(f"数据目录：{settings.data_dir.resolve()}", f"Data folder: {settings.data_dir.resolve()}")
    return 0


def add_machine(settings: Settings, args: argparse.Namespace) -> int:
    """Adds one machine to the plant model, and its line and the plant where they are missing. May run beside the server."""
    machine = {
        "code": args.code, "name_zh": args.name or args.code, "name_en": args.name or args.code, "line": args.line,
        "machine_class": args.machine_class, "edge": args.edge, "device": args.device or args.code,
    }  # fmt: skip
    must_exist(settings)
    with opened(settings) as db:
        with db.read() as session:
            found = plant.view(plant.model(session))
        model = found.model_dump(exclude={"revision"})
        if model["site"] is None:
            model["site"] = {"code": "PLANT", "name_zh": "工厂", "name_en": "Plant", "zone": settings.zone}
        if any(one.code == args.code for one in found.machines):
            raise CommandFailed(
                f"设备 {args.code} 已在工厂模型中；未做更改。", f"Machine {args.code} is in the plant model already; nothing was changed."
            )
        if all(one.code != args.line for one in found.lines):
            model["lines"] = [*model["lines"], {"code": args.line, "name_zh": args.line, "name_en": args.line}]
        model["machines"] = [*model["machines"], machine]
        acts = Acts(db, PlantClock(), Live())
        acts.start()
        try:
            put = {"event_id": str(uuid4()), "occurred_at": iso(PlantClock().now_ms()), "model": model, "revision": found.revision}
            acts.run_sync(plant.put_plant, SYSTEM, PutPlant.model_validate(put))
        except ValidationError as error:
            zh, en = listed(error.errors(), "zh"), listed(error.errors(), "en")
            raise CommandFailed(f"无法这样写入工厂模型：{zh}", f"The plant model cannot hold this: {en}", exit_code=WRONG_USE) from error
        except MesError as error:
            raise CommandFailed(*both(error)) from error
        finally:
            acts.stop()
    say(
        f"设备 {args.code} 已加入工厂模型（产线 {args.line}，边缘 {args.edge}，设备号 {machine['device']}）。",
        f"Machine {args.code} is in the plant model (line {args.line}, edge {args.edge}, device {machine['device']}).",
        f"下一步 / next: gemba-server invite-edge {args.edge}",
    )
    return 0


def invite_edge(settings: Settings, args: argparse.Namespace) -> int:
    """Prints a one-time code for an edge box. May run beside the server."""
    if not re.fullmatch(ID_PATTERN, args.edge):
        raise CommandFailed(
            f"{args.edge!r} 不能作为网关名称：只能用字母、数字、. _ -，最多 64 个。",
            f"{args.edge!r} cannot be an edge's id: letters, digits, . _ - only, 64 at most.",
            exit_code=WRONG_USE,
        )
    must_exist(settings)
    with opened(settings) as db:
        acts = Acts(db, PlantClock(), Live())
        acts.start()
        try:
            good_s = settings.identity.enrolment_s
            now_ms, folder = PlantClock().now_ms(), settings.data_dir / "broker"
            made = invite(acts, folder, args.edge, readmit=args.readmit, real_now_ms=now_ms, good_s=good_s, actor=None)
        except MesError as error:
            raise CommandFailed(*both(error)) from error
        finally:
            acts.stop()
        with db.read() as session:
            model = plant.model(session)
    if args.edge not in {one.edge for one in model.machines.values()} | {one.edge for one in model.meters.values()}:
        say(
            f"注意：工厂模型中没有设备属于边缘 {args.edge}。请核对名称，或先执行 gemba-server add-machine。",
            f"Note: no machine or meter in the plant model has the edge {args.edge}. Check the name, or do `gemba-server add-machine` as well.",
            to=sys.stderr,
        )
    minutes = settings.identity.enrolment_s // 60
    say(
        f"网关 {made.edge} 的注册代码（{minutes} 分钟内有效，仅可使用一次）/ enrolment code (good once, for {minutes} minutes):",
        f"  {made.code}",
        "在网关上运行 / on the edge box:",
        f"  gemba-edge enrol http://SERVER:{settings.http.port} {made.code}",
    )
    return 0


def _make_administrator(settings: Settings, acts: Acts, args: argparse.Namespace) -> None:
    if not (args.admin_user and args.admin_password_file):
        raise CommandFailed(
            "须同时给出 --admin-user 与 --admin-password-file。", "Give both --admin-user and --admin-password-file.", exit_code=WRONG_USE
        )
    try:
        password = args.admin_password_file.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"无法读取密码文件：{error}", f"The password file cannot be read: {error}", exit_code=WRONG_USE) from error
    user = args.admin_user.strip().lower()
    if not rules.password_is_good(password, user):
        length = rules.PASSWORD_LENGTH
        raise CommandFailed(
            f"密码过于简单：至少 {length} 位，不能是用户名或常见密码。",
            f"The password is too easy: at least {length} characters, not the user name, not a common one.",
            exit_code=WRONG_USE,
        )
    hashed = Hasher(memory_kib=settings.identity.argon2_memory_kib, passes=settings.identity.argon2_passes).hash(password)

    def make(session: Session) -> str | None:
        if not access.setup_needed(session):
            return None
        return access.make_administrator(session, name=args.admin_name, user=user, password_hash=hashed, lang=settings.lang)

    code = acts.run_system_sync(make)
    if code is None:
        say("已有管理员，未做更改。", "There is an administrator already; nothing was changed.")
    else:
        say(f"已建立管理员 {code}。", f"Administrator {code} was made.")


def _token(settings: Settings, acts: Acts) -> str | None:
    real_now, good_s = PlantClock().now_ms(), settings.identity.setup_token_s
    return acts.run_system_sync(lambda session: access.issue_setup_token(session, real_now, good_s))


def tell_token(settings: Settings, token: str) -> None:
    """Prints the one-time token; it is nowhere else in clear."""
    minutes = settings.identity.setup_token_s // 60
    scheme = "https" if settings.http.tls_cert else "http"
    say(
        "",
        f"  首次设置令牌（{minutes} 分钟内有效，仅可使用一次）/ set-up token (good once, for {minutes} minutes):",
        f"    {token}",
        f"    {scheme}://{settings.http.host}:{settings.http.port}/dashboards/setup",
        "",
    )


def serve(settings: Settings, args: argparse.Namespace) -> int:
    """Lock, migrate, set-up token if nobody is administrator, then the one process until it is told to stop."""
    clock = clock_of(args)
    logging.basicConfig(level=args.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    make_folder(settings)
    lock = DataFolderLock(settings.data_dir)
    try:
        with opened(settings) as db:
            if not db.claim():
                raise CommandFailed(
                    "另一个服务器正在使用此 PostgreSQL 数据库。请先停止它。",
                    "Another server writes to this PostgreSQL database. Stop it first.",
                    exit_code=IN_USE,
                )
            bring_up(settings, db)
            acts = Acts(db, clock, Live())
            acts.start()
            token = _token(settings, acts)
            acts.stop()
            if token is not None:
                tell_token(settings, token)
            _run(settings, args, clock)
    finally:
        lock.release()
    return 0


def _run(settings: Settings, args: argparse.Namespace, clock: PlantClock) -> None:
    """The one process, until it is told to stop. Raises CommandFailed where it could not start or had to end."""
    app = create_app(settings, clock=clock)
    scheme = "https" if settings.http.tls_cert else "http"

    def started(port: int) -> None:
        # Classes, routes and statements stay for good. A full collection that looks at them again takes 140 ms, twice in a second under load
        # (measured: p99 of a report at 50 clients 180 ms, without it 75 ms), and every tablet waits that long.
        gc.collect()
        gc.freeze()
        say(f"gemba-server: {scheme}://{settings.http.host}:{port}/  (pid {os.getpid()})")

    def worth_reading(record: logging.LogRecord) -> bool:
        return not (_refused(app) and record.getMessage().startswith("Traceback"))  # what is said in words needs no traceback above it

    server = make_server(app, settings, log_level=args.log_level, on_started=started)
    lines = logging.getLogger("uvicorn.error")
    lines.addFilter(worth_reading)
    try:
        with contextlib.suppress(SystemExit):  # uvicorn's way to say that it could not listen
            server.run()
    finally:
        lines.removeFilter(worth_reading)
    if (why := _refused(app)) is not None:
        raise CommandFailed(*both(why), exit_code=STOPPED)
    if not server.started:
        raise CommandFailed(
            f"服务器未能启动（端口 {settings.http.port} 是否被占用？见上方日志）。",
            f"The server did not start (is port {settings.http.port} taken? see the log above).",
            exit_code=STOPPED,
        )
    if app.state.kit.acts.broken:
        raise CommandFailed(
            "数据库写入失败，服务器已停止。已回复的记录均已保存。请检查磁盘后重新启动。",
            "Writing to the database failed, so the server stopped. Everything answered is stored. Check the disk and start it again.",
            exit_code=STOPPED,
        )


def _refused(app: FastAPI) -> MesError | None:
    """Why the server would not start, where a part of it said so in words (a broker's port that is taken, a telemetry file in use)."""
    why: MesError | None = getattr(app.state, "refused", None)
    return why


def both(error: MesError) -> tuple[str, str]:
    """What is wrong and the next step, (zh, en)."""
    zh, en = error.say("zh"), error.say("en")
    return f"{zh}{'' if zh.endswith('。') else '。'}{error.next_step('zh')}", f"{en}{'' if en.endswith('.') else '.'} {error.next_step('en')}"


def must_exist(settings: Settings) -> None:
    """Raises CommandFailed where there is no SQLite file yet (opening it would make one)."""
    path = sqlite_file(settings)
    if path is not None and not path.is_file():
        raise CommandFailed(
            f"没有数据库 {path}。请用 --data 指定数据目录，或先运行 gemba-server init。",
            f"There is no database {path}. Name the data folder with --data, or run gemba-server init first.",
            exit_code=WRONG_USE,
        )


def sqlite_file(settings: Settings) -> Path | None:
    """The SQLite file of these settings; None where another database is used."""
    prefix = "sqlite:///"
    return Path(settings.database_url.removeprefix(prefix)) if settings.database_url.startswith(prefix) else None


def sqlite_errors(path: Path) -> list[str]:
    """What SQLite's own integrity check finds; empty when all is well."""
    connection = sqlite3.connect(path)
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
        found += [f"foreign key of {row[0]} row {row[1]} → {row[2]}" for row in connection.execute("PRAGMA foreign_key_check").fetchmany(20)]
        return found
    except sqlite3.DatabaseError as error:
        return [str(error)]
    finally:
        connection.close()
