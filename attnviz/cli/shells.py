"""Completion in bash, zsh and fish: the scripts, and what a shell is answered when somebody presses the tab key.

Click knows what can come next; here is what its own scripts cannot do: values after a comma, values of `--option=`, and
names and files for one and the same word. A line of an answer is a kind and a value, with a comma between: "plain", or
"open" where the word may go on, or "file" or "dir" alone, where the shell itself knows best what there is.
"""

from __future__ import annotations

import os
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete

from attnviz.cli.choices import COMPLETING

PROGRAM = "attnviz"

# A word of files alone is left to readline, which knows about quotes and ~; "nosort" needs bash 4.4.
_BASH = """\
_attnviz_completion() {
    local IFS=$'\\n' response kind value files= dirs=
    COMPREPLY=()
    response=$(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete "$1" 2>/dev/null)
    while IFS=, read -r kind value; do
        case $kind in
            plain) COMPREPLY+=("$value") ;;
            open) COMPREPLY+=("$value"); compopt -o nospace ;;
            file) files=yes ;;
            dir) dirs=yes ;;
        esac
    done <<< "$response"
    if [[ $dirs ]]; then
        compopt -o dirnames
    elif [[ $files && ${#COMPREPLY[@]} -eq 0 ]]; then
        compopt -o default
    elif [[ $files ]]; then
        compopt -o filenames
        COMPREPLY+=($(compgen -f -- "$2"))
    fi
}
complete -o nosort -F _attnviz_completion %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s
_attnviz_completion() {
    local -a response plain open described
    local kind value about files= dirs=
    response=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete ${words[1]} 2>/dev/null)}")
    for kind value about in ${response}; do
        case $kind in
            plain) if [[ $about == _ ]]; then plain+=("$value"); else described+=("$value:$about"); fi ;;
            open) open+=("$value") ;;
            file) files=yes ;;
            dir) dirs=yes ;;
        esac
    done
    [[ $PREFIX == --*=* ]] && compset -P '--*='
    (( $#described )) && _describe -V values described
    (( $#plain )) && compadd -V values -a plain
    (( $#open )) && compadd -S '' -V values -a open
    [[ -n $files ]] && _files
    [[ -n $dirs ]] && _files -/
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _attnviz_completion "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _attnviz_completion %(prog_name)s
fi
"""

_FISH = """\
function _attnviz_completion
    set -l word (commandline -ct)
    set -l option (string match -r -- '^--[^=]*=' $word)
    set -l rest (string replace -r -- '^--[^=]*=' '' $word)
    for line in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) "COMP_CWORD=$word" \\
            %(prog_name)s 2>/dev/null)
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case file
                printf '%%s\\n' "$option"(__fish_complete_path "$rest")
            case dir
                printf '%%s\\n' "$option"(__fish_complete_directories "$rest")
            case '*'
                printf '%%s\\n' "$option$parts[2]"
        end
    end
end
complete --no-files --command %(prog_name)s --arguments '(_attnviz_completion)'
"""


class Bash(BashComplete):
    """Bash, which takes `--option=value` for three words."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        return [arg for arg in args if arg != "="], incomplete

    @staticmethod
    def _check_version() -> None:  # Click's looks for a bash to ask, though the script may be for another one
        return


class Zsh(ZshComplete):
    """Zsh."""

    source_template = _ZSH


class Fish(FishComplete):
    """Fish."""

    source_template = _FISH

    def format_completion(self, item: CompletionItem[str]) -> str:
        about = f"\t{' '.join(item.help.split())}" if item.help else ""
        return f"{item.type},{item.value}{about}"


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def script(shell: str) -> str:
    """What a shell is to run for its completion."""
    found: Any = SHELLS[shell](click.Group(), {}, PROGRAM, COMPLETING)
    return str(found.source())


def answer(cli: click.Command) -> int:
    """Prints what can come next on the line that the shell hands over; nothing where that cannot be told."""
    shell = SHELLS.get(os.environ[COMPLETING].removesuffix("_complete"))
    if shell is None:
        return 1
    try:
        click.echo(shell(cli, {}, PROGRAM, COMPLETING).complete())
    except Exception:  # a line that is not finished may be wrong in any way, and nobody reads a message here
        return 1
    return 0
