//! The examples that end every help text.

pub const MAIN: &str = "Examples:
  autoane train                        train for two minutes on built-in stories, then read what it writes
  autoane models                       the presets and what they cost
  autoane doctor                       this machine, and what will be used of it";

pub const TRAIN: &str = "Examples:
  autoane train
  autoane train stories-4m --max-time 5m
  autoane train smollm2-135m --data text.jsonl --max-time 10m
  autoane train path/to/hf-dir --data my.txt --steps 500 --learning-rate 5e-5
  autoane train --config recipe.toml --dry-run
  autoane train --resume runs/NAME

Every flag can also be set by an environment variable (--learning-rate by AUTOANE_LEARNING_RATE) or in the file of
--config (learning-rate = 1e-3). A flag wins over the environment, that over the file, that over a checkpoint's
settings, those over the preset's. --max-time, --steps and --tokens: whichever is reached first ends the run.";

pub const GENERATE: &str = "Examples:
  autoane generate runs/NAME --prompt \"Once upon a time\"
  autoane generate path/to/hf-dir --prompt \"The sea\" --temperature 0 --max-tokens 50
  autoane generate model.gguf --prompt-file question.txt --stop \"\\n\\n\" --top-k 40 --repetition-penalty 1.1 --json";

pub const CHAT: &str = "Examples:
  autoane chat path/to/model.gguf
  autoane chat path/to/hf-dir --system \"Be brief.\" --prompt \"What is the sea?\" --temperature 0
  autoane chat path/to/hf-dir --template chatml.jinja --json";

pub const EVAL: &str = "Examples:
  autoane eval runs/NAME                       # the loss that the run measured, on the same windows
  autoane eval runs/NAME --data stories
  autoane eval path/to/hf-dir --data my.txt --val-fraction 1 --json";

pub const LOGITS: &str = "Examples:
  autoane logits path/to/hf-dir --tokens 1,2,3 --out logits.npy";

pub const CONVERT: &str = "Examples:
  autoane convert runs/NAME/checkpoints/best my-model
  autoane convert path/to/hf-dir half --dtype bf16
  autoane convert runs/NAME model.gguf --dtype q8_0
  autoane convert model.gguf my-model
  autoane convert old.bin model.gguf --rope-theta 100000 --tokenizer tokenizer.json";

pub const INSPECT: &str = "Examples:
  autoane inspect runs/NAME
  autoane inspect path/to/hf-dir --json";

pub const DATA: &str = "Examples:
  autoane data stories --stories 5
  autoane data tokenize my.txt --out prepared
  autoane data inspect prepared";

pub const DATA_STORIES: &str = "Examples:
  autoane data stories --stories 3 --seed 7
  autoane data stories --stories 100000 --out stories.txt";

pub const DATA_DOWNLOAD: &str = "Examples:
  autoane data download tinystories";

pub const DATA_TOKENIZE: &str = "Examples:
  autoane data tokenize my.txt --out prepared
  autoane data tokenize folder-of-jsonl --tokenizer path/to/tokenizer.json --out prepared";

pub const DATA_INSPECT: &str = "Examples:
  autoane data inspect prepared
  autoane data inspect tokens.bin --vocab-size 32000
  autoane data inspect chats.jsonl --mask --tokenizer path/to/hf-model --template chatml.jinja";

pub const MODELS: &str = "Examples:
  autoane models
  autoane models --json";

pub const BENCH: &str = "Examples:
  autoane bench
  autoane bench stories-4m --threads 1 --json
  autoane bench --submit-file this-machine.json
  autoane bench model.gguf --decode --prompt-tokens 512
  autoane bench stories110m --pipeline dynamic --chip m4-max";

pub const MIL: &str = "Examples:
  autoane mil print stories-1m --pipeline dynamic --out programs
  autoane mil check programs/*/model.mil --chip m1
  autoane mil run program.mil --input x=x.npy --output y=y.npy";

pub const MIL_PRINT: &str = "Examples:
  autoane mil print stories-1m --pipeline dynamic --seq-len 64 --out programs
  autoane mil print path/to/hf-dir --pipeline static --ane-kernels original --out programs

A folder a program, with model.mil and weights/; index.json says what lies in their inputs and outputs.";

pub const MIL_CHECK: &str = "Examples:
  autoane mil check program.mil
  autoane mil check programs/*/model.mil --chip m1 --strict --json

Ends with 65 when a program is refused. `autoane mil rules` lists the rules.";

pub const MIL_RUN: &str = "Examples:
  autoane mil run program.mil --input x=x.npy --output y=y.npy
  autoane mil run program.mil --input x=x.npy --output y=y.npy --numerics ane --chip m1";

pub const MIL_RULES: &str = "Examples:
  autoane mil rules
  autoane mil rules --json";

pub const DASH: &str = "Examples:
  autoane dash
  autoane dash runs/NAME
  autoane dash runs --once               one screen as text

? shows the keys. Without a terminal one screen is printed; COLUMNS and LINES set its size.";

pub const REPORT: &str = "Examples:
  autoane report runs/NAME
  autoane report runs/NAME-1 runs/NAME-2 --out both.html";

pub const DOCTOR: &str = "Examples:
  autoane doctor
  autoane doctor --json
  autoane doctor --probe ane           which kernels this Mac's Neural Engine runs rightly";

pub const EXPLAIN: &str = "Examples:
  autoane explain
  autoane explain 65";

pub const MAN: &str = "Examples:
  autoane man --out ~/.local/share/man/man1";

pub const COMPLETIONS: &str = "Examples:
  autoane completions bash > ~/.local/share/bash-completion/completions/autoane
  autoane completions zsh > ~/.zfunc/_autoane
  autoane completions fish > ~/.config/fish/completions/autoane.fish";

pub const VERIFY: &str = "Examples:
  autoane verify                       # everything; a claim that does not hold ends it with 1
  autoane verify gradients formats     # these parts
  autoane verify --list";

pub const POWER: &str = "Examples:
  autoane power -- autoane train --steps 100
  autoane power --idle 30s --tokens 51200 --json -- autoane train --tokens 51200

Where the machine shows no meter, it ends with 69 and says which were looked for and how to enable them. Every other verb
takes --power, which measures beside it, and goes on without a meter.";
pub const SEARCH: &str = "Examples:
  autoane search new s --param learning-rate=1e-4..1e-2:log --trial-tokens 100000 -- stories-1m
  autoane search run s --trials 20
  autoane search show s --json";

pub const SEARCH_NEW: &str = "Examples:
  autoane search new s --param learning-rate=1e-4..1e-2:log --param weight-decay=0..0.2 --trial-time 60s -- stories-1m
  autoane search new s --preset original --trial-time 120s --sampler local -- stories-36m
  autoane search new s --param depth=2..8 --param dim=64..256:32 --trial-clock 60s --git --agent -- stories-1m --threads 1";

pub const SEARCH_RUN: &str = "Examples:
  autoane search run s --trials 20
  autoane search run s --workers 2";

pub const SEARCH_WORKER: &str = "Examples:
  autoane search worker s
  autoane search worker s --trials 5";

pub const SEARCH_PROPOSE: &str = "Examples:
  autoane search propose s --set learning-rate=3e-3
  autoane search propose s --set learning-rate=3e-3 --set weight-decay=0 --why \"short runs overfit less\"";

pub const SEARCH_STATUS: &str = "Examples:
  autoane search status s --json";

pub const SEARCH_SHOW: &str = "Examples:
  autoane search show s
  autoane search show s --json";

pub const SEARCH_FINAL: &str = "Examples:
  autoane search final s";

pub const SEARCH_REPORT: &str = "Examples:
  autoane search report s";
