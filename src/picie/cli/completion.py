"""`picie completion`: scripts with which shells complete verbs, flags and values.

They hold the tables of all verbs, so that a press of the tab key starts no program.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from picie.cli.arguments import Completion
from picie.cli.flags import Flag, flags_of
from picie.cli.parsing import VERBS, record_of

__all__ = ["completion", "run"]

_HELP = "Show the help."
_BASH = """\
# picie for bash; written by: picie completion bash
_picie() {
  local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} flag="" count=0 word i
  [[ $cur == "=" ]] && cur=""
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "@VERBS@" -- "$cur"))
    return
  fi
  for ((i = 2; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --*) flag=$word count=0 ;;
      =) ;;
      *) ((count++)) ;;
    esac
  done
  local flags="" values="" many="" kind=files
  case $verb in
@FLAGS@
  esac
  case "$verb $flag" in
@VALUES@
  esac
  # A flag that has its value leaves the next word to the files of the verb.
  ((count > 0)) && [[ $many == "" ]] && values="" kind=files
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ $values != "" ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$cur"))
  elif [[ $kind == files ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  fi
}
complete -F _picie picie
"""

_ZSH = """\
#compdef picie
# picie for zsh; written by: picie completion zsh
_picie() {
  local curcontext="$curcontext" state line
  local -a verbs
  verbs=(
@VERBS@
  )
  _arguments -C '1:verb:->verb' '*::argument:->arguments'
  case $state in
    verb) _describe verb verbs ;;
    arguments)
      case $line[1] in
@FLAGS@
      esac
      ;;
  esac
}
# As a file of fpath this is the body of _picie itself, which is then called for the first time.
if [[ $funcstack[1] == _picie ]]; then _picie "$@"; else compdef _picie picie; fi
"""

_FISH = """\
# picie for fish; written by: picie completion fish
function __picie_verb
  set -l words (commandline -opc)
  test (count $words) -gt 1; and test $words[2] = $argv[1]
end
"""


def completion(shell: str) -> str:
    """The script for a shell: bash, zsh or fish."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def run(options: Completion) -> None:
    """Print the script."""
    sys.stdout.write(completion(options.shell))


def _tables() -> Iterator[tuple[str, str, list[Flag]]]:
    """Each verb with its first sentence and its flags."""
    for verb in VERBS:
        record = record_of(verb)
        about = (record.__doc__ or "").split("\n")[0]
        yield verb, about, list(flags_of(record, pairs=verb == "train"))


def _helps(verb: str) -> tuple[str, ...]:
    """The flags that show help."""
    return ("--help", "--help-all") if verb == "train" else ("--help",)


def _meaning(flag: Flag, name: str) -> str:
    """What a flag means under one of its names."""
    negated = flag.kind is bool and name == f"--no-{flag.name[2:]}"
    return f"Turn {flag.name} off." if negated else flag.meaning


def _bash() -> str:
    flags, values = [], []
    for verb, _, table in _tables():
        names = [name for flag in table if not flag.positional for name in flag.names]
        flags.append(f'    {verb}) flags="{" ".join([*names, *_helps(verb)])}" ;;')
        for place in (flag for flag in table if flag.positional and flag.choices):
            flags[-1] = flags[-1].replace(" ;;", f' values="{" ".join(place.choices)}" many=1 ;;')
        for flag in table:
            found = _bash_values(flag)
            if found and not flag.positional:
                patterns = "|".join(f'"{verb} {name}"' for name in flag.names)
                values.append(f"    {patterns}) {found} ;;")
    text = _BASH.replace("@VERBS@", " ".join([*VERBS, "--help", "--version"]))
    return text.replace("@FLAGS@", "\n".join(flags)).replace("@VALUES@", "\n".join(values))


def _bash_values(flag: Flag) -> str:
    """What completes the values of a flag; "" for files, as without any flag."""
    many = " many=1" * (flag.most != 1 and flag.kind is not bool)
    if flag.choices:
        return f'values="{" ".join(flag.choices)}"{many}'
    return "" if flag.kind in (bool, Path) else f"kind=none{many}"


def _zsh() -> str:
    verbs, cases = [], []
    for verb, about, table in _tables():
        verbs.append(f"    {_quoted(f'{verb}:{about}')}")
        cases.append(f"        {verb})\n          _arguments \\")
        for flag in (one for one in table if not one.positional):
            for name in flag.names:
                text = _escaped(_meaning(flag, name))
                repeat = "*" * (flag.most is None)
                equals = "" if flag.kind is bool else "="
                spec = f"{repeat}{name}{equals}[{text}]{_zsh_values(flag)}"
                cases.append(f"            {_quoted(spec)} \\")
        cases += [f"            {_quoted(f'{name}[{_HELP}]')} \\" for name in _helps(verb)]
        first = next((flag for flag in table if flag.positional), None)
        places = f"({' '.join(first.choices)})" if first and first.choices else "_files"
        cases.append(f"            '*:argument:{places}'\n          ;;")
    text = _ZSH.replace("@VERBS@", "\n".join(verbs))
    return text.replace("@FLAGS@", "\n".join(cases))


def _zsh_values(flag: Flag) -> str:
    if flag.kind is bool:
        return ""
    what = f"({' '.join(flag.choices)})" if flag.choices else "_files" * (flag.kind is Path)
    return f":{_escaped(flag.metavar)}:{what}"


def _escaped(text: str) -> str:
    """Text inside a specification of zsh's _arguments."""
    for sign in "\\[]:":
        text = text.replace(sign, f"\\{sign}")
    return text


def _fish() -> str:
    lines = [_FISH.rstrip()]
    for verb, about, table in _tables():
        lines.append(f"complete -c picie -n __fish_use_subcommand -f -a {verb} -d {_quoted(about)}")
        seen = f"complete -c picie -n '__picie_verb {verb}'"
        lines += [f"{seen} -l {name[2:]} -d {_quoted(_HELP)}" for name in _helps(verb)]
        for flag in table:
            if flag.positional and flag.choices:
                lines.append(f"{seen} -f -a {_quoted(' '.join(flag.choices))}")
            for name in () if flag.positional else flag.names:
                about_it = _quoted(_meaning(flag, name))
                lines.append(f"{seen} -l {name[2:]}{_fish_values(flag)} -d {about_it}")
    return "\n".join(lines) + "\n"


def _fish_values(flag: Flag) -> str:
    if flag.kind is bool:
        return ""
    if flag.choices:
        return f" -x -a {_quoted(' '.join(flag.choices))}"
    return " -r -F" if flag.kind is Path else " -x"


def _quoted(text: str) -> str:
    """A word in single quotes, for zsh and fish."""
    return "'" + text.replace("'", _QUOTE) + "'"


_QUOTE = "'\"'\"'"
