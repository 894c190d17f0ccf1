#!/usr/bin/env python3
"""Prints what TensorBoard's own reader finds in a run folder: `tag step value` a line, texts quoted. Needs tensorboard.

Exit code 1 when it finds nothing, or a record that it would have to skip.
"""

import pathlib
import sys

from tensorboard.backend.event_processing import event_accumulator, event_file_loader


def main(run):
    folder = pathlib.Path(run)
    folder = folder / "tensorboard" if (folder / "tensorboard").is_dir() else folder
    points = 0
    for path in sorted(folder.glob("events.out.tfevents.*")):
        # the loader stops silently at the first record with a wrong checksum: the rest of the file must be empty
        records = sum(1 for _ in event_file_loader.RawEventFileLoader(str(path)).Load())
        if records != count(path.read_bytes()):
            sys.exit(f"{path}: TensorBoard reads {records} records of {count(path.read_bytes())}")
    reader = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    reader.Reload()
    for tag in reader.Tags()["scalars"]:
        for event in reader.Scalars(tag):
            print(tag, event.step, event.value)
            points += 1
    for tag in reader.Tags()["tensors"]:
        for event in reader.Tensors(tag):
            print(tag, event.step, [text.decode() for text in event.tensor_proto.string_val])
            points += 1
    if points == 0:
        sys.exit(f"{folder}: TensorBoard finds nothing")


def count(data):
    records, at = 0, 0
    while at + 12 <= len(data):
        at += 16 + int.from_bytes(data[at : at + 8], "little")
        records += 1
    return records


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: check_tensorboard.py RUN")
    main(sys.argv[1])
