"""Diagrams and shape tables of the MNIST networks, traced from the modules themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import number, table, vector

if TYPE_CHECKING:
    from torch import nn

    from noisebook.networks.mnist.unet import UNet

BOX, OP, GAP, ROW, TOP = (96, 58), 16, 22, 98, 30
"""Pixels: a box, the radius of an operation, between columns, from row to row, the upper margin."""
COLOURS = {
    "input": ("#eef1f4", "#7a8794"),
    "ConvBlock": ("#dbe8f8", "#2f69ad"),
    "DownBlock": ("#d9efe3", "#24804f"),
    "UpBlock": ("#fbe6d4", "#b9631b"),
    "Flatten": ("#efe2f7", "#7d3fa6"),
    "Unflatten": ("#efe2f7", "#7d3fa6"),
    "FCBlock": ("#fbf3cf", "#94780d"),
    "Conv2d": ("#dbe8f8", "#2f69ad"),
}
FONT = "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\""
INK = "#1d2733"


class Params(Base):
    """Which network, and what of it."""

    show: Literal["network", "blocks"] = Field(
        description="the whole network, or what its blocks are made of"
    )
    conditioning: Literal["none", "time", "class"] = Field(
        "none", description="what the network is conditioned on; class implies time"
    )
    width: int = Field(64, ge=4, le=512, multiple_of=4, description="channels at full resolution, D")


def cells(params: Params) -> list[Cell]:
    """One diagram."""
    if params.show == "blocks":
        alt = "Each block as a chain of the operations and blocks that it consists of."
        return [Cell("blocks", "blocks", alt, {"show": "blocks"}, seed=None)]
    given = {"none": "", "time": " given the time", "class": " given time and class"}[params.conditioning]
    return [
        Cell(
            "network",
            f"the network at D = {params.width}",
            f"Block diagram of the UNet{given}: from 28×28 digits down to one vector and up again, with skip "
            "connections between blocks of the same resolution.",
            {"show": "network", "conditioning": params.conditioning, "width": params.width},
            seed=None,
        )
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """The network is built on the meta device: shapes without weights."""
    import torch

    from noisebook.networks.mnist.unet import UNet

    for cell in cells:
        if cell.params["show"] == "blocks":
            yield cell, [vector("picture", *_blocks_svg())]
            continue
        conditioning, width = cell.params["conditioning"], int(cell.params["width"])
        with torch.device("meta"):
            network = UNet(width, timed=conditioning != "none", classes=10 if conditioning == "class" else 0)
        nodes = trace(network)
        rows = [
            [node.name, node.kind, _shape(node.shape_in), _shape(node.shape), node.parameters]
            for node in nodes
            if node.kind not in ("input", "op")
        ]
        yield (
            cell,
            [
                vector("picture", *_network_svg(nodes)),
                number("parameters", sum(parameter.numel() for parameter in network.parameters())),
                table("shapes", ["block", "kind", "takes", "gives", "parameters"], rows),
            ],
        )


@dataclass(slots=True)
class Node:
    """A block, an input or an operation of the traced network; shapes are without the batch."""

    name: str
    kind: str
    label: str
    inputs: list[Node]
    shape_in: tuple[int, ...]
    shape: tuple[int, ...]
    parameters: int = 0
    side: bool = False
    """Carries conditioning, not the picture."""


def trace(network: UNet) -> list[Node]:
    """The network's blocks and what joins them, in the order in which ``forward`` calls them.

    More than 60 lines: one pass, whose cases all need the values and nodes of the steps before.
    """
    import torch
    from torch import fx

    class Blocks(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return True

    given = {"time": network.timed, "one_hot": bool(network.classes)}
    graph = Blocks().trace(network, {name: None for name, there in given.items() if not there})
    shapes = {"x": (2, 1, 28, 28), "time": (2,), "one_hot": (2, network.classes)}
    values: dict[fx.Node, torch.Tensor] = {}
    nodes: dict[fx.Node, Node] = {}

    def value(argument: object) -> object:
        if isinstance(argument, fx.Node):
            return values[argument]
        return [value(each) for each in argument] if isinstance(argument, list | tuple) else argument

    symbols = {"cat": "cat", "add": "+", "mul": "×"}
    for step in graph.nodes:
        # What is not given leaves a placeholder and an assertion that it is None.
        if step.op == "output" or getattr(step.target, "__name__", "") == "_assert_is_none":
            continue
        sources = [nodes[each] for each in step.all_input_nodes if each in nodes]
        if step.op == "placeholder":
            name = next(known for known in shapes if step.name.startswith(known))
            if not given.get(name, True):
                continue
            values[step] = torch.empty(shapes[name], device="meta")
            nodes[step] = Node(name, "input", name, [], (), tuple(values[step].shape[1:]), side=name != "x")
            continue
        arguments = [each if isinstance(each, slice) else value(each) for each in step.args]
        if step.op == "call_module":
            module = network.get_submodule(str(step.target))
            values[step] = module(*arguments)
            nodes[step] = Node(
                str(step.target),
                type(module).__name__,
                str(step.target),
                sources,
                sources[0].shape,
                tuple(values[step].shape[1:]),
                sum(parameter.numel() for parameter in module.parameters()),
                side=all(source.side for source in sources),
            )
            continue
        assert callable(step.target)
        name = step.target.__name__
        if name == "getitem":  # time[:, None] only adds an axis
            values[step] = values[step.args[0]][:, None]
            nodes[step] = sources[0]
            sources[0].shape = (1,)
            continue
        values[step] = step.target(*arguments)
        nodes[step] = Node(
            step.name, "op", symbols.get(name, name), sources, (), tuple(values[step].shape[1:])
        )
    ordered: list[Node] = []
    for node in nodes.values():
        if not any(node is known for known in ordered):
            ordered.append(node)
    return ordered


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _network_svg(nodes: list[Node]) -> tuple[str, int, int]:
    """Columns in the order of computing, rows by resolution; conditioning enters from below."""
    levels = sorted({node.shape[-1] for node in nodes if not node.side}, reverse=True)
    place: dict[int, tuple[float, float]] = {}
    x, y = 0.0, 0.0
    for node in nodes:
        if not node.side:
            half = OP if node.kind == "op" else BOX[0] / 2
            before, y = y, TOP + BOX[1] / 2 + ROW * levels.index(node.shape[-1])
            # On another row a box may overlap the one before: its arrow turns the corner.
            centre = x + GAP + (half if y == before or not place else 0)
            place[id(node)] = (centre, y)
            x = centre + half
    lowest = max(y for _, y in place.values())
    given = [node for node in nodes if node.kind == "input" and node.side]
    for row, input_ in enumerate(reversed(given), start=1):
        place[id(input_)] = (GAP + BOX[0] / 2, lowest + ROW * row)
        for block in (node for node in nodes if input_ in node.inputs):
            target = next(node for node in nodes if block in node.inputs)
            place[id(block)] = (place[id(target)][0], lowest + ROW * row)
    parts: list[str] = []
    for node in nodes:
        for source in node.inputs:
            parts.append(_edge(source, node, place))
    for node in nodes:
        parts.append(_box(node, *place[id(node)]))
    height = round(max(y for _, y in place.values()) + BOX[1] / 2 + GAP)
    return _card(parts, round(x + GAP), height)


def _edge(source: Node, node: Node, place: dict[int, tuple[float, float]]) -> str:
    """An arrow; a skip connection runs above the boxes between its ends, conditioning comes from below."""
    (x0, y0), (x1, y1) = place[id(source)], place[id(node)]
    half = OP if node.kind == "op" else BOX[0] / 2
    tall = OP if node.kind == "op" else BOX[1] / 2
    out = OP if source.kind == "op" else BOX[0] / 2
    if source.side and not node.side:
        return _arrow(f"M{x1:g} {y0 - BOX[1] / 2:g} V{y1 + tall:g}", "#94780d")
    if source.side:
        return _arrow(f"M{x0 + out:g} {y0:g} H{x1 - half - 14:g} V{y1:g} H{x1 - half:g}", "#94780d")
    if node.label == "cat" and x1 - x0 > 2 * BOX[0]:
        high = min(y0, y1) - BOX[1] / 2 - 14
        start = x0 + BOX[0] / 4
        return _arrow(
            f"M{start:g} {y0 - BOX[1] / 2:g} V{high:g} H{x1:g} V{y1 - tall:g}", "#6b7885", dashed=True
        )
    if y0 == y1:
        return _arrow(f"M{x0 + out:g} {y0:g} H{x1 - half:g}")
    return _arrow(f"M{x0 + out:g} {y0:g} H{x1:g} V{y1 - tall if y1 > y0 else y1 + tall:g}")


def _arrow(path: str, colour: str = "#4a5764", *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash} '
        'stroke-linejoin="round" marker-end="url(#head)"/>'
    )


def _box(node: Node, x: float, y: float) -> str:
    if node.kind == "op":
        size = 11 if node.label == "cat" else 18
        return (
            f'<circle cx="{x:g}" cy="{y:g}" r="{OP}" fill="#fff" stroke="#4a5764" stroke-width="1.5"/>'
            + _text(x, y + size * 0.35, node.label, size)
        )
    fill, stroke = COLOURS.get(node.kind, COLOURS["input"])
    w, h = BOX
    name = {"x": "noisy digit", "time": "t/T", "one_hot": "one-hot c"}.get(node.name, node.name)
    lines = [_text(x, y - (12 if node.kind != "input" else 4), name, 13, bold=True)]
    if node.kind != "input":
        lines.append(_text(x, y + 4, node.kind, 12, "#4a5764"))
    lines.append(_text(x, y + 20, _shape(node.shape), 12))
    return (
        f'<rect x="{x - w / 2:g}" y="{y - h / 2:g}" width="{w}" height="{h}" rx="7" '
        f'fill="{fill}" stroke="{stroke}" stroke-width="1.5"/>' + "".join(lines)
    )


def _text(
    x: float, y: float, text: str, size: int, colour: str = INK, *, bold: bool = False, anchor: str = "middle"
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"{weight}>'
        f"{escape(text)}</text>"
    )


def _card(parts: list[str], width: int, height: int) -> tuple[str, int, int]:
    """On white, whatever the page's colours."""
    head = (
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="#4a5764"/></marker>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" {FONT}><defs>{head}</defs>'
        f'<rect width="{width}" height="{height}" rx="10" fill="#fff"/>{"".join(parts)}</svg>\n',
        width,
        height,
    )


def _blocks_svg() -> tuple[str, int, int]:
    """Every kind of block in the class-conditioned network, and what its children are."""
    import torch

    from noisebook.networks.mnist import unet

    with torch.device("meta"):
        network = unet.UNet(4, timed=True, classes=10)
    examples: dict[str, nn.Module] = {}
    for module in network.modules():
        if type(module).__module__ == unet.__name__ and module is not network:
            examples.setdefault(type(module).__name__, module)
    order = [
        "Conv",
        "DownConv",
        "UpConv",
        "Flatten",
        "Unflatten",
        "ConvBlock",
        "DownBlock",
        "UpBlock",
        "FCBlock",
    ]
    box, height, left = 200, 34, 118
    parts, y, widest = [], 16.0, 0.0
    for name in sorted(examples, key=order.index):
        fill, stroke = COLOURS.get(name, COLOURS["input"])
        parts.append(_text(16, y + height / 2 + 5, name, 14, bold=True, anchor="start"))
        x = float(left)
        previous = x - GAP
        for child in examples[name].children():
            label = _operation(child)
            if not label:
                continue
            if x > left:
                parts.append(_arrow(f"M{previous:g} {y + height / 2:g} H{x:g}"))
            parts.append(
                f'<rect x="{x:g}" y="{y:g}" width="{box}" height="{height}" rx="6" fill="{fill}" '
                f'stroke="{stroke}" stroke-width="1.3"/>' + _text(x + box / 2, y + height / 2 + 4, label, 12)
            )
            previous = x + box
            x += box + GAP
        widest = max(widest, x - GAP)
        y += height + 12
    return _card(parts, round(widest + 16), round(y + 4))


def _operation(module: nn.Module) -> str:
    """One operation in a few words, from its own attributes; empty for what only changes a shape."""
    from torch import nn

    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        kind = type(module).__name__.removesuffix("2d")
        padding = f", pad {module.padding[0]}" if int(module.padding[0]) else ""
        return f"{kind} {module.kernel_size[0]}, stride {module.stride[0]}{padding}"
    if isinstance(module, nn.AvgPool2d):
        return f"AvgPool {module.kernel_size}"
    if isinstance(module, nn.BatchNorm2d):
        return "BatchNorm"
    if type(module) is nn.Unflatten:
        return ""
    return type(module).__name__
