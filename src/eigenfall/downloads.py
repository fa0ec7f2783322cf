"""One file from the network into a folder: whole, or not at all, with a progress bar on standard error."""

import errno
from pathlib import Path

_NO_ROOM = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EEXIST, errno.ENOTDIR)


class _Bar:
    """What pooch asks of a progress bar, shown by rich."""

    def __init__(self, file: str, shown: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not shown)
        self._task = self._progress.add_task(file, total=None)
        self._total = 0
        self._progress.start()

    @property
    def total(self) -> int:
        return self._total

    @total.setter
    def total(self, length: int) -> None:
        self._total = length
        self._progress.update(self._task, total=length or None)

    def update(self, length: int) -> None:
        self._progress.advance(self._task, length)

    def reset(self) -> None:
        self._progress.reset(self._task, total=self._total or None)

    def close(self) -> None:
        self._progress.stop()


def download(file: str, sha256: str, urls: tuple[str, ...], folder: Path, remedy: str, progress: bool = True) -> Path:
    """Fetch a file from the first address that has it; it is given its name once its checksum is right.

    Args:
        file: its name, there and here.
        sha256: its checksum.
        urls: addresses that stand before the name, tried in turn.
        folder: where it goes; made if it is not there.
        remedy: what else the user can do, for the refusal.
        progress: whether to show a bar.

    Raises:
        ValueError: if no address has the file whole, or the folder cannot be written.
    """
    import pooch

    logger = pooch.get_logger()
    level, reasons = logger.level, []
    logger.setLevel("WARNING")
    try:
        for url in urls:
            bar = _Bar(file, progress)
            try:
                # pooch's own types know neither a bar of one's own, which it documents, nor its own downloader
                fetcher = pooch.HTTPDownloader(progressbar=bar, chunk_size=2**16)  # pyright: ignore[reportArgumentType]
                known = f"sha256:{sha256}"
                return Path(pooch.retrieve(f"{url}{file}", known, file, folder, downloader=fetcher))  # pyright: ignore[reportArgumentType]
            except (OSError, ValueError) as reason:
                if isinstance(reason, OSError) and reason.errno in _NO_ROOM:
                    raise ValueError(
                        f"Expected to write {file} in {folder}, got: {reason.strerror}. Make room there or grant write "
                        f"permission. {remedy}"
                    ) from reason
                reasons.append(f"{type(reason).__name__} from {url}")
            finally:
                bar.close()
    finally:
        logger.setLevel(level)
    raise ValueError(f"Expected to download {file}, got {' and '.join(reasons)}. Connect to the network. {remedy}")
