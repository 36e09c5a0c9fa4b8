"""backup and restore: the book of record, telemetry, photos and the installation's keys, with a sha256 manifest that restore checks first.

Telemetry is a projection that can be rebuilt: where it cannot be had the backup says so and is still whole for orders, counts and the journal.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl  # POSIX only, as the embedded broker and the data folder's lock are
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from edge_agent.contract.clock import PlantClock, iso
from mes_server import __version__, migrations
from mes_server.cli import dumps
from mes_server.cli.serve import make_folder, must_exist, opened, sqlite_errors, sqlite_file, stamp
from mes_server.cli.words import CommandFailed, say
from mes_server.config import Settings
from mes_server.kit import journal, sealing
from mes_server.kit.lock import DataFolderInUse, DataFolderLock
from mes_server.telemetry.copying import ask_for_copy

MANIFEST = "manifest.json"
FORMAT = 1
KEPT_FILES = ("badge.key", sealing.ANCHORS_NAME, "broker/edges.json")  # the last: who was revoked stays so after a restore
KEPT_FOLDERS = ("photos", "broker/users")
HALF_WRITTEN = shutil.ignore_patterns(".*")  # the server writes beside us; such a file may be gone before it is copied
CHUNK = 1 << 20
PARTIAL = ".partial-"
ABANDONED_S = 3600.0


def backup(settings: Settings, args: argparse.Namespace) -> int:
    """Writes `<out>/gemba-<time>/`; it gets its name only when it is complete and proven readable."""
    must_exist(settings)
    out = args.out if args.out is not None else settings.backups_dir
    sweep(out, PlantClock().now_ms() / 1000.0)
    out.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{stamp()}-", dir=out))
    in_use = os.open(partial, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: then its age alone keeps it from being swept
            fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with opened(settings) as db:
            dumps.dump(db, partial)
            revision = migrations.current(db.reader)
        for name in KEPT_FILES:
            if (settings.data_dir / name).is_file():
                (partial / name).parent.mkdir(exist_ok=True, mode=0o700)
                shutil.copy2(settings.data_dir / name, partial / name)
        for name in KEPT_FOLDERS:
            if (settings.data_dir / name).is_dir():
                shutil.copytree(settings.data_dir / name, partial / name, dirs_exist_ok=True, ignore=HALF_WRITTEN)
        telemetry = _copy_telemetry(settings, partial)
        write_manifest(partial, revision=revision, telemetry=telemetry)
        final = _named(partial, out / f"gemba-{stamp()}")
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        os.close(in_use)
    size = sum(path.stat().st_size for path in final.rglob("*") if path.is_file())
    say(f"备份完成：{final}（{size / 1e6:.1f} MB）", f"Backup written: {final} ({size / 1e6:.1f} MB)")
    if not telemetry:
        say(
            "采样数据未包含在内（不在本机或无法复制）；订单、产量、日志完整。",
            "Telemetry samples are not in it (none here, or they could not be copied); orders, counts and the journal are complete.",
        )
    return 0


def _named(partial: Path, final: Path) -> Path:
    """Gives the finished backup its name; with a number behind it where another one got it in the same second."""
    for name in (final, *(final.with_name(f"{final.name}-{n}") for n in range(2, 100))):
        try:
            partial.rename(name)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        else:
            return name
    raise FileExistsError(final)


def sweep(out: Path, now_s: float) -> None:
    """Removes what killed backups have left in `out`: nobody holds it, and nothing in it has changed for an hour before `now_s` (UTC seconds).

    The server may go on copying telemetry into such a folder for a while: that is why its age counts, too.
    """
    for folder in sorted(out.glob(f"{PARTIAL}*")):
        if folder.is_symlink() or not folder.is_dir():
            continue
        try:
            held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                newest_s = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
                if now_s - newest_s < ABANDONED_S:
                    continue
                shutil.rmtree(folder)
            finally:
                os.close(held)
        except BlockingIOError:  # another backup is writing it
            continue
        except OSError as error:
            say(f"上次中断的备份 {folder} 未能删除：{error}", f"What a backup that was cut off left at {folder} could not be removed: {error}")
            continue
        say(f"已删除中断的备份留下的 {folder}。", f"Removed {folder}, which a backup that was cut off had left.")


def _copy_telemetry(settings: Settings, folder: Path) -> bool:
    """The DuckDB file: copied by the server that holds it, or as a file while none does."""
    if settings.telemetry.kind != "duckdb" or not settings.telemetry_path.is_file():
        return False
    target = folder / "telemetry"
    target.mkdir()
    try:
        lock = DataFolderLock(settings.data_dir)
    except DataFolderInUse:
        why = ask_for_copy(settings.data_dir, target / settings.telemetry_path.name)
        if why is not None:
            say(f"采样数据未能复制：{why}", f"Telemetry could not be copied: {why}")
            shutil.rmtree(target)
        return why is None
    try:
        for path in settings.telemetry_path.parent.glob(settings.telemetry_path.name + "*"):
            if path.is_file():
                shutil.copy2(path, target / path.name)
    finally:
        lock.release()
    return True


def write_manifest(folder: Path, *, revision: str | None, telemetry: bool) -> None:
    files = {str(path.relative_to(folder)): _digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    about = {
        "format": FORMAT,
        "version": __version__,
        "revision": revision,
        "made_at": iso(PlantClock().now_ms()),
        "telemetry": telemetry,
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(about, indent=1), encoding="utf-8")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def check_manifest(folder: Path) -> None:
    """Raises CommandFailed naming each missing, changed or foreign file."""
    try:
        about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, str] = about["files"]
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandFailed(
            f"{folder} 不是 Gemba 备份：{error}。请指定 gemba-server backup 写出的 gemba-… 目录。",
            f"{folder} is no Gemba backup: {error}. Name a gemba-… folder that gemba-server backup wrote.",
        ) from error
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    wrong = [f"- {name}" for name in sorted(set(files) - there)] + [f"+ {name}" for name in sorted(there - set(files))]
    wrong += [f"≠ {name}" for name in sorted(there & set(files)) if _digest(folder / name) != files[name]]
    if wrong:
        listed = "\n  ".join(wrong[:20])
        raise CommandFailed(f"备份已损坏，未恢复任何内容：\n  {listed}", f"The backup is damaged; nothing was restored:\n  {listed}")


def restore(settings: Settings, args: argparse.Namespace) -> int:
    """Checks every file of the backup, puts it into an empty data folder, proves the result (integrity, journal chain, newest revision)."""
    check_manifest(args.source)
    make_folder(settings)
    lock = DataFolderLock(settings.data_dir)
    try:
        path = sqlite_file(settings)
        if path is not None and path.exists():
            raise CommandFailed(
                f"{path} 已存在，不会覆盖。请恢复到空目录，或先将其移走。",
                f"{path} exists and is not overwritten. Restore into an empty folder, or move it away first.",
            )
        with opened(settings) as db:
            if path is None and migrations.current(db.reader) is not None:
                raise CommandFailed("目标数据库不为空。", "The target database is not empty. Make a new one and name it in database.url.")
            db.close()
            dumps.put_back(db, args.source)
            for name in KEPT_FILES:
                if (args.source / name).is_file():
                    (settings.data_dir / name).parent.mkdir(exist_ok=True, mode=0o700)
                    shutil.copy2(args.source / name, settings.data_dir / name)
            for name in KEPT_FOLDERS:
                if (args.source / name).is_dir():
                    shutil.copytree(args.source / name, settings.data_dir / name, dirs_exist_ok=True)
            if (args.source / "telemetry").is_dir() and settings.telemetry.kind == "duckdb":
                settings.telemetry_path.parent.mkdir(parents=True, exist_ok=True)
                for one in (args.source / "telemetry").iterdir():
                    shutil.copy2(one, settings.telemetry_path.parent / one.name)
            migrations.upgrade(db.writer)
            with db.read() as session:
                found = journal.verify(session, anchors=sealing.read_anchors(settings.data_dir))
        errors = sqlite_errors(path) if path is not None else []
    finally:
        lock.release()
    if found.bad_seq is not None or errors:
        raise CommandFailed(
            f"恢复的数据未通过检查：{found.bad_seq} {errors}",
            f"The restored data does not pass its checks: record {found.bad_seq} {found.why} {errors}",
        )
    say(f"已恢复并验证：{found.sealed + found.unsealed} 条日志记录。", f"Restored and proven: {found.sealed + found.unsealed} journal records.")
    return 0
