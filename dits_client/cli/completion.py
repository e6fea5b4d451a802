"""`dits completion`: what shells need to complete a line, made from the parser."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import NamedTuple

from dits_client.cli.grammar import find_commands, list_actions
from dits_client.cli.parser import make_parser
from dits_client.errors import UsageError

# Arguments that are revisions or branches.
_BRANCHES = {"branch", "source", "revision", "start", "base", "into"}
_PAGE = 1000


class Place(NamedTuple):
    """What may follow some words of a line."""

    # The commands in this one.
    commands: list[str]
    options: list[str]
    # Whether names of branches are among its arguments, and the options that are followed by one.
    takes_branches: bool
    branch_options: list[str]


def handle_completion(arguments: Namespace) -> None:
    """Print the script of a shell, or the branches of the folder's repository."""
    if bool(arguments.shell) == arguments.branches:
        raise UsageError("name a shell, or say --branches")
    if arguments.branches:
        _print_branches()
        return
    places = find_places(make_parser())
    template = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}[arguments.shell]
    write = _write_fish_case if arguments.shell == "fish" else _write_case
    print(template.replace("@PLACES@", "\n".join(write(places))).strip())


def _print_branches() -> None:
    from dits.repo.v1.ref_service_pb2 import ListBranchesRequest

    from dits_client.cli.session import connect_to
    from dits_client.cli.workspace_paths import open_workspace

    with connect_to(open_workspace()) as (remote, _):
        request = ListBranchesRequest(repository=remote.name, page_size=_PAGE)
        for branch in remote.call(remote.refs.ListBranches, request, timeout=2.0).branches:
            print(branch.name)


def find_places(parser: ArgumentParser) -> dict[str, Place]:
    """Return what may follow each row of words that names a command; the empty row is the first."""
    found, todo = {}, [("", parser)]
    for words, command in todo:
        inner, actions = find_commands(command), list_actions(command)
        named = [action for action in actions if action.dest in _BRANCHES and action.nargs != 0]
        found[words] = Place(
            list(inner),
            [option for action in actions for option in action.option_strings],
            any(not action.option_strings for action in named),
            [option for action in named for option in action.option_strings],
        )
        todo += [(f"{words} {name}".strip(), each) for name, each in inner.items()]
    return found


def _write_case(places: Mapping[str, Place]) -> list[str]:
    """Return the branches of a `case` that sets what may follow."""
    return [
        f'    "{words}") commands="{" ".join(place.commands)}" options="{" ".join(place.options)}" '
        f'takes="{"yes" * place.takes_branches}" before="{" ".join(place.branch_options)}" ;;'
        for words, place in places.items()
    ]


def _write_fish_case(places: Mapping[str, Place]) -> list[str]:
    return [
        f'        case "{words}"\n'
        f"            set commands {' '.join(place.commands)}\n"
        f"            set options {' '.join(place.options)}\n"
        f"            set takes {'yes' * place.takes_branches}\n"
        f"            set before {' '.join(place.branch_options)}"
        for words, place in places.items()
    ]


_BASH = """
# Completion of dits for bash: eval "$(dits completion bash)"
_dits_place() {
  commands= options= takes= before=
  case "$1" in
@PLACES@
    *) return 1 ;;
  esac
}
# Others choose the names of branches: `compgen -W` would run what is in them, and so would the line.
_dits_branches() {
  local name
  COMPREPLY=()
  while IFS= read -r name; do
    printf -v name %q "$name"
    [[ $name == "$1"* ]] && COMPREPLY+=("$name")
  done < <(dits completion --branches 2>/dev/null)
}
_dits() {
  local current=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]} place= word
  local commands options takes before
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    _dits_place "${place:+$place }$word" && place="${place:+$place }$word"
  done
  _dits_place "$place"
  if [[ " $before " == *" $last "* ]]; then
    _dits_branches "$current"
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n $takes ]]; then
    _dits_branches "$current"
  else
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  fi
}
complete -o default -F _dits dits
"""

_ZSH = """
#compdef dits
# Completion of dits for zsh: dits completion zsh > a file _dits in a folder of $fpath
_dits_place() {
  commands= options= takes= before=
  case "$1" in
@PLACES@
    *) return 1 ;;
  esac
}
_dits() {
  local place= word commands options takes before
  for word in "${(@)words[2,CURRENT-1]}"; do
    _dits_place "${place:+$place }$word" && place="${place:+$place }$word"
  done
  _dits_place "$place"
  if [[ " $before " == *" ${words[CURRENT-1]} "* ]]; then
    compadd -- ${(f)"$(dits completion --branches 2>/dev/null)"}
  elif [[ ${words[CURRENT]} == -* ]]; then
    compadd -- ${=options}
  elif [[ -n $commands ]]; then
    compadd -- ${=commands}
  else
    [[ -n $takes ]] && compadd -- ${(f)"$(dits completion --branches 2>/dev/null)"}
    _files
  fi
}
if [[ $funcstack[1] == _dits ]]; then _dits "$@"; else compdef _dits dits; fi
"""

_FISH = """
# Completion of dits for fish: dits completion fish > ~/.config/fish/completions/dits.fish
function __dits_place
    set -e commands options takes before
    switch "$argv[1]"
@PLACES@
        case '*'
            return 1
    end
    set -g __dits_commands $commands
    set -g __dits_options $options
    set -g __dits_takes $takes
    set -g __dits_before $before
    return 0
end
function __dits_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l place
    for word in $words[2..-1]
        set -l longer (string join -- ' ' $place $word)
        __dits_place "$longer"; and set place $longer
    end
    __dits_place "$place"
    if contains -- "$words[-1]" $__dits_before
        dits completion --branches 2>/dev/null
    else if string match -q -- '-*' "$current"
        string join \\n -- $__dits_options
    else if test -n "$__dits_commands"
        string join \\n -- $__dits_commands
    else
        test -n "$__dits_takes"; and dits completion --branches 2>/dev/null
        __fish_complete_path "$current"
    end
end
complete -c dits -f -a '(__dits_complete)'
"""
