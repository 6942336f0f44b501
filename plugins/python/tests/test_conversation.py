"""Does a plugin keep to the protocol, whatever its stages do?"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import pyarrow as pa

import affectflow as af
from affectflow.testing import PluginEnded, StageFailed
from common import STAGES, plugin


def said(script: str, work) -> str:
    """What a plugin says on standard error while it is worked with."""
    with tempfile.TemporaryFile() as file:
        with plugin(script, stderr=file.fileno()) as process:
            work(process)
        file.seek(0)
        return file.read().decode(errors="replace")


def started() -> subprocess.Popen:
    """A plugin as the program starts it, nothing said yet."""
    pipe = subprocess.PIPE
    environment = {**os.environ, "AFFECTFLOW_PLUGIN": "1"}
    command = [sys.executable, STAGES / "trouble.py"]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)


class Hello(unittest.TestCase):
    def test_kinds_and_version(self) -> None:
        with plugin("trouble.py") as process:
            self.assertEqual(process.hello["contract"], {"min": 1, "max": 1})
            self.assertTrue(process.hello["sdk"].startswith("affectflow-python "))
            self.assertIn("picky", process.kinds)

    def test_a_program_that_also_knows_later_versions(self) -> None:
        with plugin("trouble.py", contract=(1, 9)) as process:
            self.assertEqual(process.hello["contract"], {"min": 1, "max": 1})

    def test_versions_that_do_not_meet(self) -> None:
        for asked, words in (((2, 3), b"asks for versions 2 to 3"), ((0, 0), b"asks for version 0")):
            with tempfile.TemporaryFile() as file:
                with self.assertRaisesRegex(PluginEnded, "code 2"):
                    plugin("trouble.py", contract=asked, stderr=file.fileno())
                file.seek(0)
                line = file.read()
                self.assertIn(b"version 1 of the contract is known here", line)
                self.assertIn(words, line)
                self.assertNotIn(b"Traceback", line)

    def test_what_is_no_hello(self) -> None:
        for sent in (b"nonsense\n", b"[1]\n", b'{"type": "call"}\n', b'{"no": "type"}\n', b"{"):
            with self.subTest(sent), started() as process:
                process.stdin.write(sent)
                if sent == b"{":
                    process.stdin.close()
                else:
                    process.stdin.flush()
                self.assertEqual(process.wait(60), 2)
                self.assertEqual(process.stdout.read(), b"")
                heard = process.stderr.read()
                self.assertIn(b"affectflow-python", heard)
                self.assertNotIn(b"Traceback", heard)

    def test_a_greeting_and_no_more_is_answered(self) -> None:
        with started() as process:
            hello = b'{"type": "hello", "contract": {"min": 1, "max": 1}, "program": "test"}\n'
            output, _ = process.communicate(hello, 60)
            self.assertEqual(process.returncode, 0)
            self.assertIn(b'"kinds"', output)

    def test_silence_ends_it(self) -> None:
        with started() as process:
            process.stdin.close()
            self.assertEqual((process.wait(60), process.stdout.read()), (0, b""))


class Output(unittest.TestCase):
    def test_nothing_breaks_the_stream(self) -> None:
        def work(process) -> None:
            for _ in range(3):
                self.assertEqual(process.run("talks", {}, {"n": [1, 2]}).columns["m"].to_pylist(), [1, 2])

        heard = said("trouble.py", work)
        for words in ("while the module", "printed\n", "written to 1", "put by C", "from a child", "from a fork"):
            self.assertIn(words, heard)

    def test_processes_of_a_stage(self) -> None:
        def work(process) -> None:
            for method in multiprocessing.get_all_start_methods():
                with self.subTest(method):
                    answer = process.run("pools", {"method": method}, {"n": [1, 2, 3]})
                    self.assertEqual(answer.columns["m"].to_pylist(), [2, 4, 6])

        self.assertIn("from a pool", said("trouble.py", work))

    def test_ten_megabytes_of_standard_error(self) -> None:
        def work(process) -> None:
            self.assertEqual(process.run("floods", {}, {"n": [1]}).columns["m"].to_pylist(), [1])

        self.assertGreaterEqual(len(said("trouble.py", work)), 10 << 20)

    def test_warnings_and_progress(self) -> None:
        with plugin("trouble.py") as process:
            answer = process.run("tells", {}, {"n": [1]})
        self.assertEqual(answer.warnings, ["the lexicon is old"])
        self.assertEqual(
            answer.progress[0], {"type": "progress", "done": 1, "total": 1000, "unit": "steps", "note": "loss 0"}
        )
        self.assertEqual(answer.progress[-1]["done"], 1000)
        self.assertLess(len(answer.progress), 1000)

    def test_a_batch_of_a_hundred_megabytes(self) -> None:
        pictures = pa.array([bytes([row]) * (1 << 20) for row in range(100)], pa.binary())
        with plugin("answers.py") as process:
            lengths = "[len(one.as_py()) for one in rows.column('n')]"
            answer = process.run("evaluated", {"answer": lengths}, {"n": pictures})
        self.assertEqual(answer.columns["m"].to_pylist(), [1 << 20] * 100)

    def test_an_answer_of_many_megabytes(self) -> None:
        with plugin("answers.py") as process:
            answer = process.run("named", {"names": ["c"], "size": 100_000}, {"n": [1] * 64})
        self.assertEqual(answer.columns["t"].type.list_size, 100_000)
        self.assertEqual(answer.columns["c"].to_pylist(), ["c"] * 64)


class Failing(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.plugin = plugin("trouble.py")
        cls.addClassCleanup(cls.plugin.close)

    def test_rows(self) -> None:
        answer = self.plugin.run("picky", {}, {"n": [2, 3, 100, 5]})
        self.assertEqual(answer.failures, {1: "3 is odd", 2: "a hundred", 3: "5 is odd"})
        self.assertEqual(answer.columns["m"].to_pylist()[0], 2)

    def test_a_row_that_is_not_there(self) -> None:
        with self.assertRaisesRegex(StageFailed, "IndexError: there is no row 2: this call has 2") as caught:
            self.plugin.run("wrong_row", {}, {"n": [1, 2]})
        self.assertIn("in wrong_row", caught.exception.detail)
        self.assertNotIn("call.py", caught.exception.detail)

    def test_exceptions_behind_it_are_told(self) -> None:
        with self.assertRaises(StageFailed) as caught:
            self.plugin.run("chained", {}, {"n": [7]})
        self.assertEqual(str(caught.exception), "RuntimeError: no answer")
        self.assertIn("KeyError: 'no word for 7'", caught.exception.detail)
        self.assertIn("The above exception was the direct cause", caught.exception.detail)

    def test_an_exception_is_told_from_the_users_frames_on(self) -> None:
        with self.assertRaises(StageFailed) as caught:
            self.plugin.run("raises", {}, {"n": [7]})
        self.assertEqual(str(caught.exception), "KeyError: 'no word for 7'")
        detail = caught.exception.detail
        self.assertTrue(detail.startswith("Traceback (most recent call last):\n  File "))
        self.assertIn("trouble.py", detail.splitlines()[1])
        self.assertIn("in deeper", detail)
        self.assertNotIn("serve.py", detail)
        self.assertEqual(self.plugin.run("picky", {}, {"n": [4]}).columns["m"].to_pylist(), [4])

    def test_exit_is_an_error_and_no_end(self) -> None:
        with self.assertRaisesRegex(StageFailed, "SystemExit: enough"):
            self.plugin.run("leaves", {}, {"n": [1]})
        self.assertEqual(self.plugin.run("picky", {}, {"n": [4]}).failures, {})

    def test_an_endless_message_is_cut(self) -> None:
        with self.assertRaises(StageFailed) as caught:
            self.plugin.run("long_error", {}, {"n": [1]})
        self.assertLess(len(str(caught.exception)), 20_000)
        self.assertLess(len(caught.exception.detail), 400_000)

    def test_more_failures_than_fit_a_message(self) -> None:
        self.assertEqual(len(self.plugin.run("all_fail", {}, {"n": [1] * 1024}).failures), 1024)
        with self.assertRaisesRegex(StageFailed, "20000 rows failed; row 0: why"):
            self.plugin.run("all_fail", {}, {"n": [1] * 20_000})

    def test_a_class_is_made_once(self) -> None:
        answer = self.plugin.run("opens", {}, {"n": [0] * 4}, rows_per_call=1)
        self.assertEqual(answer.columns["m"].to_pylist(), [1, 2, 3, 4])

    def test_workers_are_apart(self) -> None:
        rows = pa.table({"id": ["a"], "n": [0]})
        first, second = (self.plugin.open("opens", {}, rows.schema) for _ in range(2))
        counts = [self.plugin.call(worker, rows).columns["m"][0].as_py() for worker in (first, first, second)]
        self.assertEqual(counts, [1, 2, 1])

    def test_a_class_that_cannot_be_made(self) -> None:
        with self.assertRaises(StageFailed) as caught:
            self.plugin.run("opens", {"mode": "raise"}, {"n": [0]})
        self.assertEqual(str(caught.exception), "RuntimeError: no weights")
        self.assertIn("in __init__", caught.exception.detail)
        with self.assertRaisesRegex(StageFailed, "no rows are being computed"):
            self.plugin.run("opens", {"mode": "fail"}, {"n": [0]})

    def test_a_kind_that_is_not_there_ends_it(self) -> None:
        with plugin("trouble.py") as process:
            process.send({"type": "open", "worker": 1, "kind": "nothing", "options": {}, "reads": [], "adds": []})
            with self.assertRaisesRegex(PluginEnded, "code 2"):
                process.receive()


class Ending(unittest.TestCase):
    def busy(self, kind: str) -> af.testing.Plugin:
        process = plugin("trouble.py")
        self.addCleanup(process.close)
        rows = pa.table({"id": ["a"], "n": [1]})
        worker = process.open(kind, {}, rows.schema)
        process._writer.write({"type": "call", "worker": worker, "rows": 1}, rows)
        process.process.stdin.flush()
        return process

    def test_the_end_of_input_ends_what_is_computed(self) -> None:
        for kind in ("hangs", "computes"):
            with self.subTest(kind):
                process = self.busy(kind)
                time.sleep(0.3)
                process.process.stdin.close()
                self.assertEqual(process.process.wait(20), 0)

    def test_ctrl_c_is_the_programs_matter(self) -> None:
        process = self.busy("hangs")
        time.sleep(0.3)
        process.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        self.assertIsNone(process.process.poll())

    def test_death(self) -> None:
        with plugin("trouble.py") as process, self.assertRaisesRegex(PluginEnded, "code -9"):
            process.run("dies", {}, {"n": [1]})

    def test_half_a_batch(self) -> None:
        process = plugin("trouble.py")
        self.addCleanup(process.close)
        worker = process.open("picky", {}, pa.schema([("id", pa.string()), ("n", pa.int64())]))
        process.process.stdin.write(b'{"type":"call","worker":%d,"rows":1,"bytes":1000}\nabc' % worker)
        process.process.stdin.close()
        self.assertEqual(process.process.wait(20), 2)


if __name__ == "__main__":
    unittest.main()
