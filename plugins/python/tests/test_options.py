"""Do type hints become the options that stand in the manifest, and do values reach the stage as its hints say?"""

import enum
import pathlib
import unittest
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Optional

import pydantic

import affectflow as af
from affectflow.errors import DeclarationError, OptionError
from affectflow.stage import Declared, Stage, declare


def stage(thing: Any, reads: Any = (), adds: Any = None, **more: Any) -> Stage:
    """Declares a stage without registering it."""
    given = dict(kind=None, version=1, retry="safe", scores=False, rows_per_call=None, example=None)
    return declare(thing, Declared("map", reads, adds or {"m": "int32"}, **{**given, **more}))


def options(thing: Any) -> dict:
    return stage(thing).manifest["options"]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Size:
    """A size

    width: how wide
    """

    width: int
    height: Annotated[int, af.Range(min=1), af.Unit("px")] = 3
    tags: list[str] = field(default_factory=lambda: ["a"])


class Inner(pydantic.BaseModel):
    depth: int = 1


class Model(pydantic.BaseModel):
    """Options of pydantic's

    steps: how many steps
    """

    steps: int = pydantic.Field(10, ge=1)
    names: list[str] = pydantic.Field(default_factory=list)
    colour: Colour = Colour.RED
    inner: Inner | None = None
    rate: float


class Schemas(unittest.TestCase):
    def test_scalars_and_descriptions(self) -> None:
        def one(
            rows,
            *,
            limit: int = 1000,
            rate: float = 1,
            name: str,
            on: bool = False,
            where: pathlib.Path = pathlib.Path("a/b"),
        ):
            """First line.

            limit: most words
                that are counted
            rate: a number.
            """

        self.assertEqual(
            options(one),
            {
                "type": "object",
                "properties": {
                    "limit": {"type": "integer", "description": "most words that are counted", "default": 1000},
                    "rate": {"type": "number", "description": "a number", "default": 1.0},
                    "name": {"type": "string"},
                    "on": {"type": "boolean", "default": False},
                    "where": {"type": "string", "format": "path", "default": "a/b"},
                },
                "required": ["name"],
                "additionalProperties": False,
            },
        )
        self.assertEqual(stage(one).manifest["summary"], "First line")

    def test_everything_else(self) -> None:
        def one(
            rows,
            *,
            method: Literal["a", "b"] = "a",
            colour: Colour = Colour.BLUE,
            maybe: int | None = None,
            either: int | str = 3,
            many: list[int] = [1],
            pair: tuple[int, str] = (1, "x"),
            some: set[str] = {"b", "a"},
            table: dict[str, float] = {"x": 1},
            anything: Any = None,
            size: Size = Size(4),
            sizes: list[Size] = [],
            threads: Annotated[int, af.Neutral(), af.Range(max=8)] = 1,
            word: Annotated[str, af.Length(min=1)] = "w",
            words: Annotated[list[str], af.Length(max=2)] = [],
        ): ...

        found = options(one)["properties"]
        self.assertEqual(found["method"], {"type": "string", "enum": ["a", "b"], "default": "a"})
        self.assertEqual(found["colour"], {"type": "string", "enum": ["red", "blue"], "default": "blue"})
        self.assertEqual(found["maybe"], {"type": ["integer", "null"], "default": None})
        self.assertEqual(found["either"], {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": 3})
        self.assertEqual(found["many"], {"type": "array", "items": {"type": "integer"}, "default": [1]})
        self.assertEqual(found["pair"]["prefixItems"], [{"type": "integer"}, {"type": "string"}])
        self.assertEqual(
            found["some"], {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "default": ["a", "b"]}
        )
        self.assertEqual(
            found["table"], {"type": "object", "additionalProperties": {"type": "number"}, "default": {"x": 1.0}}
        )
        self.assertEqual(found["anything"], {"default": None})
        self.assertEqual(found["size"]["default"], {"width": 4, "height": 3, "tags": ["a"]})
        self.assertEqual(found["size"]["required"], ["width"])
        self.assertEqual(found["size"]["properties"]["width"], {"type": "integer", "description": "how wide"})
        self.assertEqual(
            found["size"]["properties"]["height"], {"type": "integer", "minimum": 1, "x-unit": "px", "default": 3}
        )
        self.assertEqual(found["sizes"]["items"]["type"], "object")
        self.assertEqual(found["threads"], {"type": "integer", "x-identity": False, "maximum": 8, "default": 1})
        self.assertEqual(found["word"], {"type": "string", "minLength": 1, "default": "w"})
        self.assertEqual(found["words"], {"type": "array", "items": {"type": "string"}, "maxItems": 2, "default": []})

    def test_one_dataclass_takes_all(self) -> None:
        def one(rows, options: Size): ...

        self.assertEqual(list(options(one)["properties"]), ["width", "height", "tags"])

    def test_pydantic(self) -> None:
        def one(rows, options: Model): ...

        found = options(one)
        self.assertEqual(found["required"], ["rate"])
        self.assertEqual(found["additionalProperties"], False)
        steps = {"type": "integer", "minimum": 1, "default": 10, "description": "how many steps"}
        self.assertEqual(found["properties"]["steps"], steps)
        self.assertEqual(found["properties"]["names"]["default"], [])
        self.assertEqual(found["properties"]["colour"]["default"], "red")
        self.assertEqual(found["$defs"]["Inner"]["properties"]["depth"], {"type": "integer", "default": 1})
        self.assertNotIn("title", str(found))

    def test_classes(self) -> None:
        class WordCount:
            """Counts words

            limit: of the class
            """

            def __init__(self, *, limit: int = 5, other: int = 6) -> None:
                """other: of its maker"""
                self.limit = limit

            def __call__(self, rows: list[dict]) -> list:
                return [self.limit]

        made = stage(WordCount)
        self.assertEqual(made.kind, "word_count")
        self.assertEqual(made.manifest["options"]["properties"]["limit"]["description"], "of the class")
        self.assertEqual(made.open({"limit": 7})([]), [7])

        @dataclass
        class Fields:
            names: list[str] = field(default_factory=lambda: ["q"])

            def __call__(self, rows: list[dict]) -> list:
                return self.names

        self.assertEqual(options(Fields)["properties"]["names"]["default"], ["q"])
        self.assertEqual(stage(Fields).open({})([]), ["q"])
        self.assertEqual(stage(Fields).manifest["summary"], "fields")

    def test_columns_named_by_options(self) -> None:
        def one(rows, *, column: str = "text", into: list[str] = ["a"], size: int = 2): ...

        made = stage(one, {af.option("column"): "utf8"}, {af.option("into"): "int8", "t": "tensor<float16>[{size}, 3]"})
        self.assertEqual(made.manifest["reads"], [{"option": "column", "type": "utf8"}])
        self.assertEqual(made.manifest["adds"][1], {"name": "t", "type": "tensor<float16>[{size}, 3]"})
        self.assertEqual(made.manifest["options"]["properties"]["column"]["x-column"], "value")


class Values(unittest.TestCase):
    def loaded(self, hint: Any, value: Any) -> Any:
        def one(rows, *, x): ...

        one.__annotations__ = {"x": hint}
        return stage(one).options.load({"x": value}, "")["x"]

    def test_what_the_hint_says(self) -> None:
        for hint, value, wanted in (
            (int, 3.0, 3),
            (float, 3, 3.0),
            (Colour, "red", Colour.RED),
            (pathlib.Path, "a/b", pathlib.Path("a/b")),
            (Optional[int], None, None),  # noqa: UP045 - the older way to write it
            (int | str, "x", "x"),
            (tuple[int, ...], [1, 2], (1, 2)),
            (set[str], ["a", "a"], {"a"}),
            (Size, {"width": 2}, Size(2)),
            (dict[str, Size], {"k": {"width": 2}}, {"k": Size(2)}),
        ):
            with self.subTest(hint=hint):
                loaded = self.loaded(hint, value)
                self.assertEqual((loaded, type(loaded)), (wanted, type(wanted)))

    def test_what_it_does_not_say(self) -> None:
        for hint, value, words in (
            (int, 1.5, "option `x` must be a whole number, not `1.5`"),
            (int, True, "must be a whole number"),
            (float, "1", 'must be a number, not `"1"`'),
            (str, 1, "must be a text"),
            (bool, 1, "must be true or false"),
            (Literal["a", "b"], "c", 'must be one of `a`, `b`, not `"c"`'),
            (list[int], [1, "b"], "option `x[1]` must be a whole number"),
            (Size, {"width": 1, "height": 0}, "option `x.height` must be at least 1, not 0"),
            (Size, {"width": 1, "depth": 0}, "option `x.depth` must be one of `width`, `height`, `tags`"),
            (Size, {}, "option `x.width` must be given"),
            (tuple[int, int], [1], "must be a list of 2"),
            (Annotated[list[int], af.Length(max=1)], [1, 2], "must have at most 1, not 2"),
        ):
            with self.subTest(hint=hint, value=value), self.assertRaises(OptionError) as caught:
                self.loaded(hint, value)
            self.assertIn(words, str(caught.exception))

    def test_pydantic(self) -> None:
        def one(rows, options: Model): ...

        made = stage(one)
        self.assertEqual(made.options.load({"rate": 1}, ""), Model(rate=1.0))
        with self.assertRaisesRegex(OptionError, "option `steps`: Input should be greater than or equal to 1"):
            made.options.load({"rate": 1, "steps": 0}, "")


class Declarations(unittest.TestCase):
    def check(self, words: str, thing: Any, **how: Any) -> None:
        with self.subTest(words), self.assertRaises(DeclarationError) as caught:
            stage(thing, **how)
        self.assertIn(words, str(caught.exception))
        self.assertIn("stage `", str(caught.exception))

    def test_what_is_wrong(self) -> None:
        def plain(rows, *, column: str = "c", number: int = 1): ...

        def no_hint(rows, *, x=1): ...

        def no_rows(): ...

        def star(rows, **options: int): ...

        def strange(rows, *, x: complex = 1j): ...

        def frame(rows: complex): ...

        def infinite(rows, *, x: float = float("inf")): ...

        class NoCall: ...

        class TwoArguments:
            def __call__(self, rows, limit: int): ...

        self.check("`x` needs a type hint", no_hint)
        self.check("first parameter takes the rows", no_rows)
        self.check("each needs a name and a type", star)
        self.check("cannot be the type of an option", strange)
        self.check("rows cannot come as", frame)
        self.check("cannot be written as JSON", infinite)
        self.check("needs `def __call__", NoCall)
        self.check("`limit` belongs into `__init__`", TwoArguments)
        self.check("no type of the contract", plain, reads={"a": "string"})
        self.check("no type of the contract", plain, adds={"a": "tensor<int8>[3]"})
        self.check("one type, not `any`", plain, adds={"a": "any"})
        self.check("there is no option `other`; there are `column`", plain, reads={af.option("other"): "utf8"})
        self.check("must be a `str` or a list", plain, reads={af.option("number"): "utf8"})
        self.check("must be an `int`", plain, adds={"a": "tensor<float32>[{column}]"})
        self.check("no type of the contract", plain, adds={"a": "tensor<float32>[0]"})
        self.check("no type of the contract", plain, adds={"a": "struct<x: utf8, x: utf8>"})
        self.check("no type of the contract", plain, adds={"a": "utf8 utf8"})
        self.check("`id` is there already", plain, adds={"id": "utf8"})
        self.check("a list of columns", plain, reads="caption")
        self.check("`reads` has `a` twice", plain, reads=["a", "a"])
        self.check("begins with a letter", plain, kind="1a")
        self.check("versions count from 1", plain, version=0)
        with self.assertRaisesRegex(DeclarationError, "names no column"):
            declare(plain, Declared("map", (), {}, None, 1, "safe", False, None, None))

    def test_two_of_a_kind(self) -> None:
        @af.map(adds={"m": "int32"}, kind="twice_declared")
        def one(rows): ...

        with self.assertRaisesRegex(DeclarationError, "two stages are of kind `twice_declared`"):

            @af.map(adds={"m": "int32"}, kind="twice_declared")
            def other(rows): ...

    def test_the_function_stays_itself(self) -> None:
        @af.map(adds={"m": "int32"}, kind="stays_itself")
        def one(rows, *, x: int = 1):
            af.fail(0, "bad")

        with self.assertRaisesRegex(af.RowFailed, "row 0: bad"):
            one([])


if __name__ == "__main__":
    unittest.main()
