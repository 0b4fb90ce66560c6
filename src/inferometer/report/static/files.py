"""Plots into files: one each, named by its key, or one alone."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from inferometer.errors import RunFolderError, UsageError
from inferometer.record.folder import write_atomic
from inferometer.report.plots.model import Plot
from inferometer.report.static.look import Look, chinese_fonts, matplotlib, settings
from inferometer.version import __version__

Format = Literal["png", "svg"]
_DPI = 150
_METADATA: dict[Format, dict[str, str | None]] = {
    "png": {"Software": f"inferometer {__version__}"},
    "svg": {"Creator": f"inferometer {__version__}", "Date": None},
}


def picture(plot: Plot, form: Format, look: Look) -> bytes:
    """One plot as a file's content; equal plots give equal bytes with the same matplotlib and fonts.

    Raises:
        UsageError: matplotlib is not installed.
    """
    from io import BytesIO

    library = matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from inferometer.report.static.draw import draw

    content = BytesIO()
    with library.rc_context(settings(plot.key)), warnings.catch_warnings():
        # A sign of a label that no font has is drawn as a box; ``font_hint`` says what to do about Chinese.
        warnings.filterwarnings("ignore", message="Glyph ", category=UserWarning)
        figure = draw(plot, look)
        FigureCanvasAgg(figure)
        options: dict[str, Any] = {"format": form, "metadata": _METADATA[form], "dpi": _DPI}
        figure.savefig(content, **options)
    return content.getvalue()


def write_pictures(
    plots: Sequence[Plot], to: str, form: Format, look: Look, *, overwrite: bool = False
) -> list[Path]:
    """Write the plots; a name that ends with ``.png`` or ``.svg`` is a file for the first one alone.

    Args:
        plots: the most telling first.
        to: a directory, which is made, or a file.
        form: of the files.
        look: language, subtitle, mark of a simulation.
        overwrite: replace files that exist.

    Raises:
        UsageError: matplotlib is not installed, there is nothing to draw, a file exists, or the name is of another
            format.
        RunFolderError: a file cannot be written.
    """
    matplotlib()
    if not plots:
        raise UsageError("there is nothing to draw: no request of the run has a time", "choose another run")
    target = Path(to)
    alone = target.suffix.lower() in (".png", ".svg")
    if alone and target.suffix.lower() != f".{form}":
        raise UsageError(
            f"--{form} {to}: the name says another format", f"end it with .{form}, or name a directory"
        )
    places = [(target, plots[0])] if alone else [(target / f"{plot.key}.{form}", plot) for plot in plots]
    taken = [path for path, _ in places if path.exists()]
    if taken and not overwrite:
        raise UsageError(f"--{form}: {taken[0]} exists already", "add --overwrite, or choose another name")
    try:
        (target.parent if alone else target).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"{target} cannot be made: {os.strerror(error.errno or 0)}", "choose another directory"
        ) from None
    for path, plot in places:
        write_atomic(path, picture(plot, form, look))
    return [path for path, _ in places]


def font_hint(look: Look) -> str | None:
    """What to install where Chinese text was asked for and no font has its signs; None where one has."""
    matplotlib()
    if look.language != "zh" or chinese_fonts():
        return None
    return "no font with Chinese signs is installed, they are drawn as boxes: apt-get install fonts-noto-cjk"
