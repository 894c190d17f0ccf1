#!/usr/bin/env python3
"""Makes crates/data/tests/templates/expected.json: what transformers' apply_chat_template makes of each conversation.

    python xtask/templates.py           # makes the file
    python xtask/templates.py --check   # makes it again and compares with the committed one

Needs transformers and tokenizers. The clock stands at 2026-02-03 14:05:06. A conversation that the template refuses is an
object with its message.
"""

import datetime
import json
import pathlib
import sys

import jinja2
import transformers
from tokenizers import Tokenizer, models
from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).resolve().parent.parent / "crates" / "data" / "tests" / "templates"


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 2, 3, 14, 5, 6)


def rendered(tokenizer, template, messages, **options):
    try:
        return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, **options)
    except jinja2.exceptions.TemplateError as error:
        return {"refused": error.message}


def make():
    chat_template_utils.datetime = Clock
    inner = Tokenizer(models.BPE(vocab={"<s>": 0, "</s>": 1}, merges=[]))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    conversations = json.loads((HERE / "conversations.json").read_text())
    made = {}
    for path in sorted(HERE.glob("*.jinja")):
        template = path.read_text()
        rows = []
        for messages in conversations:
            for prompt in (False, True):
                rows.append(rendered(tokenizer, template, messages, add_generation_prompt=prompt, enable_thinking=False))
        made[path.stem] = rows
    return made


def main():
    made, path = make(), HERE / "expected.json"
    if sys.argv[1:] == ["--check"]:
        if json.loads(path.read_text()) != made:
            sys.exit("templates: transformers renders otherwise than the committed file says")
        print(f"templates: {len(made)} templates as committed")
        return
    path.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n")
    print(f"templates: {len(made)} templates")


if __name__ == "__main__":
    main()
