"""One evaluation from models and data to results, summary and page.

    results.jsonl      a line per clip, as it is finished
    evaluation.json    what the results come to
    evaluation.html    the same as a page, with the confusion matrix and the accuracy of each class as pictures

With several data splits results lie in a folder for each, `1`, `2` and so on; the two files beside the folders are of
all splits and hold the mean over them.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from hybridnet.errors import ConfigError, DataSetError, OutputExistsError
from hybridnet.evaluation.clips import Clip, Clips, find_clips, find_rows
from hybridnet.evaluation.document import evaluation_document
from hybridnet.evaluation.on_ray import RayWorker, cluster
from hybridnet.evaluation.record import Evaluated, EvaluationRecord, to_json
from hybridnet.evaluation.results import ClipResult, ResultsFile, check_results
from hybridnet.evaluation.runners import Runner, RunnerSpec, load_runner
from hybridnet.evaluation.spread import ClipRunner, evaluate_on, here
from hybridnet.evaluation.summary import Summary, spread_of, summarise
from hybridnet.report.pricing.profile import load_profile
from hybridnet.report.record.data import Note, NoteKind
from hybridnet.report.record.evaluation import FAMILY, SCHEMA
from hybridnet.report.render.html import render_html
from hybridnet.support.files import check_writable, head_of, locked, write_text
from hybridnet.support.processes import LocalWorker
from hybridnet.support.progress import Progress, silent
from hybridnet.training.sources import is_cache
from hybridnet.video.dataset import ALL
from hybridnet.workflows.options import EvaluateOptions
from hybridnet.workflows.record import environment
from hybridnet.workflows.sources import ARRAYS_SUFFIX

FEW_CLIPS = 30
"""Fewer are warned of."""

RESULTS, EVALUATION, PAGE = "results.jsonl", "evaluation.json", "evaluation.html"


def evaluate(
    models: Sequence[str | Path],
    data: Sequence[str],
    out: Path,
    options: EvaluateOptions = EvaluateOptions(),
    *,
    progress: Progress = silent,
) -> EvaluationRecord:
    """Evaluate models on data that `hybridnet.evaluation.clips.find_clips` finds; see `run_evaluation`.

    Args:
        models: One checkpoint or bundle for all data splits, or one for each.
        data: Each with every split of the options.
        out: A folder.
        options: Which clips, and where the models run.
        progress: Told after each clip.

    Raises:
        ConfigError: If data, splits and models do not go together.
        HybridNetError: As `run_evaluation`, and if the data cannot be had.
    """
    _check(data, options)
    pairs = [(each, number) for each in data for number in options.split or (1,)]
    if len(set(pairs)) < len(pairs):
        raise ConfigError("data, split", [*data, *(options.split or ())], "each once")
    load_profile(options.profile)  # refused before any work
    alone = options.engine == "local" and options.workers == 1
    threads = options.threads if alone or options.threads is not None else 1
    specs = [
        RunnerSpec(Path(model).resolve(), options.snn, options.ann, options.profile, options.device, threads)
        for model in models
    ]

    def find(number: int, runner: Runner) -> Clips:
        name, split = pairs[number]
        if name.endswith(ARRAYS_SUFFIX):
            return find_rows(Path(name), options.labels, runner.inputs, runner.labels)
        if runner.preprocess is None:
            raise ConfigError("data", name, "an .npz file of the model's inputs, as it takes no video")
        made = out / "clips"
        return find_clips(name, runner.preprocess, options.split_name, number=split, views=options.views, made=made)

    return run_evaluation(specs, find, len(pairs), out, options, progress=progress)


def _check(data: Sequence[str], options: EvaluateOptions) -> None:
    """Refuse options that the data have no use for.

    Raises:
        ConfigError: If there are any.
    """
    if options.split is not None and options.split_name == ALL:
        raise ConfigError("split", options.split, f"none with --split-name {ALL}, which has every clip")
    for each in data:
        if options.split is not None and is_cache(Path(each)):
            why = f"none, as {each} is a cache and has the split that it was built with"
            raise ConfigError("split", options.split, why)
        if not each.endswith(ARRAYS_SUFFIX):
            if options.labels is not None:
                why = "with --data FILE.npz; folders of class folders tell theirs"
                raise ConfigError("labels", str(options.labels), why)
            continue
        for name in ("split", "split_name", "views"):
            if (value := getattr(options, name)) not in (getattr(EvaluateOptions, name), ALL):
                raise ConfigError(name, value, f"not given, as {each} has rows: all of them are evaluated")


def run_evaluation(
    specs: Sequence[RunnerSpec],
    find: Callable[[int, Runner], Clips],
    count: int,
    out: Path,
    options: EvaluateOptions = EvaluateOptions(),
    *,
    progress: Progress = silent,
) -> EvaluationRecord:
    """Evaluate, go on with an evaluation, or sum up a finished one; write the module's files into `out`.

    Args:
        specs: A model for all data splits, or one for each.
        find: Gives the clips of each split, from its number and the loaded model.
        count: Number of data splits.
        out: A folder.
        options: With what engine and how many workers; what the specs say of models holds.
        progress: Told after each clip.

    Raises:
        ConfigError: If models and splits do not match, or `out` holds another evaluation.
        DataSetError: If not one clip could be read.
        HybridNetError: If a model or a back-end cannot be had.
    """
    if len(specs) not in (1, count):
        raise ConfigError("models", len(specs), f"1, or {count} as there are data splits")
    _check_folder(out)
    evaluated = []
    for number in range(count):
        spec = specs[number if len(specs) > 1 else 0]
        folder = out if count == 1 else out / str(number + 1)
        evaluated.append(_evaluate(spec, lambda r, n=number: find(n, r), folder, options, progress))  # type: ignore[misc]
    record = EvaluationRecord(
        schema=SCHEMA,
        command=options.command,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        environment=environment(),
        engine=options.engine,
        workers=options.workers,
        evaluated=tuple(evaluated),
        mean=spread_of([each.summary for each in evaluated]) if count > 1 else None,
    )
    write_text(out / EVALUATION, to_json(record))
    write_text(out / PAGE, render_html([evaluation_document(record)]))
    return record


def _check_folder(out: Path) -> None:
    """Refuse to write over what is not of an evaluation; before any work."""
    check_writable(out / EVALUATION)
    check_writable(out / PAGE)
    head = head_of(out / EVALUATION)
    for name, foreign in (
        (EVALUATION, head and FAMILY.encode() not in head),
        (PAGE, not head and (out / PAGE).exists()),
    ):
        if foreign:
            raise OutputExistsError(out / name, "is of no evaluation, and is not replaced", "Choose another folder")


def _evaluate(
    spec: RunnerSpec,
    find: Callable[[Runner], Clips],
    folder: Path,
    options: EvaluateOptions,
    progress: Progress,
) -> Evaluated:
    runner = load_runner(spec)
    clips = find(runner).labelled(runner.labels)
    identity = {
        "model_sha256": spec.sha256,
        "backends": [spec.snn, spec.ann, spec.profile] if spec.is_bundle else ["torch"],
        "data": clips.data,
        "split": clips.split,
        "views": clips.views,
        "clips_sha256": clips.sha256,
    }
    failed: dict[str, str] = {}
    with locked(folder), ResultsFile(folder / RESULTS, identity, anew=options.overwrite) as file:
        check_results(file.done, {clip.name: clip.label for clip in clips.clips}, len(runner.labels), folder / RESULTS)
        missing = [clip for clip in clips.clips if clip.name not in file.done]
        before, started = len(file.done), time.perf_counter()
        with _engine(options, spec, runner, missing, clips.views) as results:
            for number, result in enumerate(results, before + 1):
                file.add(result)
                if result.failure:
                    failed[result.clip] = result.failure
                else:
                    file.done[result.clip] = result
                progress(f"clips of {clips.data}", number, len(clips.clips))
        seconds = time.perf_counter() - started
        done = [file.done[clip.name] for clip in clips.clips if clip.name in file.done]
    failures = dict(clips.unreadable) | failed
    if not done:
        first = next(iter(failures.items()), None)
        raise DataSetError(
            f"not one clip could be read; {first[0]}: {first[1]}" if first else "no clips", where=clips.data
        )
    summary = summarise(done, runner.labels, failures, len(missing) / seconds if missing else None)
    return Evaluated(
        model=str(spec.model),
        model_sha256=spec.sha256,
        data=clips.data,
        split=clips.split,
        views=clips.views,
        backends=(spec.snn, spec.ann) if spec.is_bundle else ("torch",),
        profile=load_profile(spec.profile).row if spec.is_bundle else None,
        learned=None if runner.learned is None else sum(bool(result.learned) for result in done),
        summary=summary,
        notes=tuple(_notes(spec, summary, before, len(clips.clips))),
    )


@contextmanager
def _engine(
    options: EvaluateOptions, spec: RunnerSpec, runner: Runner, clips: Sequence[Clip], views: int
) -> Iterator[Iterator[ClipResult]]:
    """Results of clips as they are finished."""
    work, workers = ClipRunner(spec, views), options.workers
    if not clips:
        yield iter(())
    elif options.engine == "ray":
        with cluster(workers), closing(evaluate_on(clips, lambda: RayWorker(work), workers)) as results:
            yield results
    elif workers > 1:
        with closing(evaluate_on(clips, lambda: LocalWorker(work), workers)) as results:
            yield results
    else:
        yield here(clips, runner, views)


def _notes(spec: RunnerSpec, summary: Summary, before: int, clips: int) -> Iterator[Note]:
    if not spec.is_bundle:
        text = "energy: none, a checkpoint runs in torch and nothing is counted; export it and evaluate the bundle"
    else:
        text = f"energy: modelled with profile {spec.profile}, not measured; operations are counted"
    yield Note(NoteKind.PRICES, text)
    if summary.clips_per_second is None:
        yield Note(NoteKind.THROUGHPUT, "throughput: none, all clips had been evaluated before")
    elif before:
        text = f"throughput: of the {clips - before} clips of this call; {before} had been evaluated before"
        yield Note(NoteKind.THROUGHPUT, text)
    if summary.clips < FEW_CLIPS:
        text = f"accuracy: of {summary.clips} clips alone; {FEW_CLIPS} or more are better, as its interval tells"
        yield Note(NoteKind.ACCURACY, text)
    if summary.failures:
        text = f"accuracy: of the clips that could be read; {len(summary.failures)} could not"
        yield Note(NoteKind.ACCURACY, text)
    if len(summary.classes) <= 5:
        yield Note(NoteKind.ACCURACY, f"top-5: always right, as there are {len(summary.classes)} classes")
