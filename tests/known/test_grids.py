"""Few words, many settings: the product, the names in braces, and what is refused."""

import pytest
from exact import refusal

from eigenfall.grids import Grid, Point, filled, grid_of, merged, points, read, text_of


def test_the_product_is_taken_and_single_runs_come_after():
    grid = grid_of({"data": "digits"}, {"penalty": ["a", "b"], "learning-rate": [0.1, 0.2]}, [{"penalty": "c"}])
    found = [(point.settings["penalty"], point.settings.get("learning_rate"), point.name) for point in points(grid)]
    assert found == [
        ("a", 0.1, "a learning-rate=0.1"),
        ("a", 0.2, "a learning-rate=0.2"),
        ("b", 0.1, "b learning-rate=0.1"),
        ("b", 0.2, "b learning-rate=0.2"),
        ("c", None, ""),
    ]
    assert {point.settings["data"] for point in points(grid)} == {"digits"}


def test_without_a_grid_the_list_alone_is_run_and_without_either_what_is_shared():
    assert [point.settings for point in points(grid_of({"seeds": 2}, {}, [{"arm": "x"}]))] == [{"seeds": 2, "arm": "x"}]
    assert points(grid_of({"seeds": 2}, {})) == [Point({"seeds": 2}, "", frozenset(), frozenset({"seeds"}))]


def test_a_name_in_braces_stands_for_the_value_of_the_grid():
    grid = grid_of({"penalty": "spectral:strength={strength}"}, {"strength": [1, 5.0]})
    found = points(grid)
    assert [point.settings["penalty"] for point in found] == ["spectral:strength=1", "spectral:strength=5"]
    assert [point.name for point in found] == ["strength=1", "strength=5"]
    assert found[0].spare == {"strength"}


def test_what_stands_in_another_value_or_nowhere_is_not_said_twice():
    grid = grid_of({}, {"penalty": [[], ["s:strength={strength}", "j"]], "strength": [1, 5]})
    assert [point.name for point in points(grid)] == [
        "no-penalty",
        "no-penalty",
        "s:strength=1+j",
        "s:strength=5+j",
    ]


@pytest.mark.parametrize(
    "value, said",
    [(5, "5"), (5.0, "5"), (0.001, "0.001"), (1e-7, "1e-07"), (True, "true"), (False, "false"), ("a", "a")],
)
def test_values_as_text(value, said):
    assert text_of(value) == said


def test_numbers_and_what_is_left_out_are_said_with_what_they_are_of():
    grid = grid_of(
        {}, {"first-seed": [3], "amsgrad": [True], "patience": ["none"], "steps": ["40"], "optimiser": ["sgd"]}
    )
    assert [point.name for point in points(grid)] == ["first-seed=3 amsgrad=true no-patience steps=40 sgd"]


def test_names_in_braces_that_stand_for_nothing_plain():
    assert refusal(filled, {"arm": "{strenght}", "strength": 1}) == (
        "Expected a known name in braces, got 'strenght'. Did you mean 'strength'?"
    )
    assert refusal(filled, {"arm": "{layers}", "layers": ["a", "b"]}) == (
        "Expected one plain value for {layers}, got ['a', 'b']. Give that name a number or a text."
    )
    assert refusal(filled, {"arm": "{arm}"}) == (
        "Expected one plain value for {arm}, got '{arm}'. Give that name a number or a text."
    )


def test_what_the_prompt_says_takes_the_place_of_what_the_file_says():
    grid = grid_of({"data": "digits", "steps": 10}, {"penalty": ["a", "b"], "rate": [1]})
    found = merged(grid, {"penalty": "c"}, {"steps": [1, 2]})
    assert found.run == {"data": "digits", "penalty": "c"}
    assert found.grid == {"rate": [1], "steps": [1, 2]}


def test_a_file_is_read(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text('[run]\ntrain-batch = 32\n[grid]\nseeds = [1, 2]\n[[runs]]\narm = "x"\n[cluster]\nqueue = "long"\n')
    assert read(path) == Grid({"train_batch": 32}, {"seeds": [1, 2]}, ({"arm": "x"},), {"queue": "long"})


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("[grids]\n", "Expected a known table of grid.toml, got 'grids'. Did you mean 'grid'?"),
        ("run = 3\n", "Expected a table [run] in grid.toml, got 3. Write [run] above its settings."),
        ("[runs]\n", "Expected tables [[runs]] in grid.toml, got {}. Write [[runs]] above its settings."),
        ("runs = [3]\n", "Expected tables [[runs]] in grid.toml, got [3]. Write [[runs]] above its settings."),
        (
            "[grid]\nsteps = 3\n",
            "Expected a list of values for steps in [grid], got 3. Write them in brackets, or move it to [run] if "
            "there is one alone.",
        ),
        (
            "[grid]\nsteps = []\n",
            "Expected a list of values for steps in [grid], got []. Write them in brackets, or move it to [run] if "
            "there is one alone.",
        ),
        (
            "[run]\ntrain-batch = 1\ntrain_batch = 2\n",
            "Expected train_batch once in [run], got it again. Leave one out.",
        ),
        ("[run.penalty]\na = 1\n", "Expected a value of penalty in [run], got a table. Write penalty = …"),
    ],
)
def test_what_a_file_may_not_say(text, sentence, tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    assert refusal(read, path) == sentence


def test_a_file_that_is_no_toml_or_not_there(tmp_path):
    path = tmp_path / "grid.toml"
    assert refusal(read, path) == f"Expected a sweep in TOML at {path}, got no such file. Look at the path."
    path.write_text("[run\n")
    assert refusal(read, path).startswith(f"Expected a sweep in TOML at {path}, got: Expected ']' at the end")
