"""Inside the guard no factor of a product is rounded, however torch was told to; afterwards torch is as it was told.

Each state is made in a fork of its own, since some cannot be taken back. That torch's switches do what it says
of them can be seen on a GPU only.
"""

import subprocess
import sys

import torch

from eigenfall.layers import left_as_found
from eigenfall.precision import whole_floats

STATES = {
    "as torch starts": "",
    "products in bfloat16": "torch.set_float32_matmul_precision('medium')",
    "products in TF32": "torch.set_float32_matmul_precision('high')",
    "convolutions whole already": "torch.backends.cudnn.allow_tf32 = False",
    "everything in TF32, by the newer setting": "torch.backends.fp32_precision = 'tf32'",
    "convolutions alone, by the newer setting": "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    "products alone, by the newer setting": "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "convolutions of the processor": "torch.backends.mkldnn.conv.fp32_precision = 'bf16'",
}

ASK = """
import os
import torch
from eigenfall.precision import whole_floats

backends = torch.backends

def told(ask):
    try:
        return str(ask())
    except RuntimeError:
        return "mixed"

def state():
    single = [getattr(getattr(getattr(backends, owner), name, None), "fp32_precision", None)
              for owner in ("cudnn", "cuda", "mkldnn") for name in ("conv", "rnn", "matmul")]
    switches = (lambda: backends.cudnn.allow_tf32, torch.get_float32_matmul_precision)
    return single, [told(ask) for ask in switches]

def disturb(before):
    if before[1][1] != "mixed":  # the older switch cannot be asked what it was
        torch.set_float32_matmul_precision("medium")
    raise KeyError

def failing(before, ends):
    try:
        with whole_floats():
            single, (switch, products) = state()
            if {"tf32", "bf16"} & set(single) or switch == "True" or products not in ("highest", "mixed"):
                return "inside", single, switch, products
            if ends:
                disturb(before)
    except KeyError:
        pass
    return () if state() == before else ("afterwards", before, state())

for name, told_so in STATES.items():
    if "fp32_precision" in told_so and not hasattr(backends.cudnn, "conv"):
        continue  # torch before 2.9
    child = os.fork()
    if not child:
        exec(told_so)
        before = state()
        for ends in (0, 1):
            if wrong := failing(before, ends):
                print(name, ends, *wrong, flush=True)
        print("seen", name, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_whole_inside_and_as_told_outside():
    code = f"STATES = {STATES!r}\n{ASK}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    newer = hasattr(torch.backends.cudnn, "conv")
    assert done.stdout.splitlines() == [
        f"seen {name}" for name, told in STATES.items() if newer or "fp32_precision" not in told
    ]


def test_measurements_are_made_with_whole_floats():
    with left_as_found(torch.nn.Linear(2, 2)):
        assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"


def test_a_rounded_product_is_told_from_a_whole_one():
    torch.manual_seed(0)
    a, b = torch.randn(64, 256), torch.randn(256, 64)
    whole = a.double() @ b.double()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with whole_floats():
            found = a @ b
    finally:
        torch.set_float32_matmul_precision(before)
    assert (found - whole).abs().max() < 1e-4
