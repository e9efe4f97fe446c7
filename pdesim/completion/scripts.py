"""The completion scripts of the shells.

A script passes the words up to the cursor to ``pdesim complete``, which prints a completion and,
after a tab, its description on each line. The lines ``:file`` and ``:folder`` ask for names of
files and folders, which the shell itself completes.
"""

from __future__ import annotations

BASH = r"""# Completion of pdesim in bash. In ~/.bashrc:  eval "$(pdesim completion bash)"
_pdesim() {
    local words=() word glued="" index last=0
    # bash splits words at = and :, and they are joined here
    for ((index = 1; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if [[ -z $word && ${COMP_LINE:0:COMP_POINT} == *[[:blank:]] ]]; then
            glued=""
        fi
        if [[ ${#words[@]} -gt 0 && ( -n $glued || ( -n $word && -z ${word//[=:]/} ) ) ]]; then
            words[last]+=$word
        else
            last=${#words[@]}
            words[last]=$word
        fi
        glued=""
        if [[ -n $word && -z ${word//[=:]/} ]]; then glued=1; fi
    done
    local current=${words[last]} kept=""
    # bash replaces the part after the last = or : only
    if [[ $current == *[=:]* && $COMP_WORDBREAKS == *=* ]]; then
        kept=${current%"${current##*[=:]}"}
    fi
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        case $word in
            :file | :folder)
                compopt -o filenames 2>/dev/null
                local kind=-f
                if [[ $word == :folder ]]; then kind=-d; fi
                while IFS= read -r word; do
                    COMPREPLY+=("$word")
                done < <(compgen "$kind" -- "${current#"$kept"}")
                ;;
            *)
                if [[ $word == *[=.] ]]; then compopt -o nospace 2>/dev/null; fi
                COMPREPLY+=("${word#"$kept"}")
                ;;
        esac
    done < <("${COMP_WORDS[0]/#\~/$HOME}" complete -- "${words[@]}" 2>/dev/null)
}
complete -F _pdesim pdesim
"""

ZSH = r"""#compdef pdesim
# Completion of pdesim in zsh. In ~/.zshrc, after compinit:  source <(pdesim completion zsh)
_pdesim() {
    local word about
    local -a whole whole_shown open open_shown
    local -a line=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
    while IFS=$'\t' read -r word about; do
        case $word in
            :file) _files ;;
            :folder)
                compset -P '*='
                _files -/
                ;;
            *[=.])
                open+=("$word")
                open_shown+=("$word${about:+  $about}")
                ;;
            *)
                whole+=("$word")
                whole_shown+=("$word${about:+  $about}")
                ;;
        esac
    done < <(${~words[1]} complete -- "${line[@]}" 2>/dev/null)
    (( $#open )) && compadd -l -S '' -d open_shown -a open
    (( $#whole )) && compadd -l -d whole_shown -a whole
    return 0
}
if [[ $funcstack[1] == _pdesim ]]; then
    _pdesim "$@"
else
    compdef _pdesim pdesim
fi
"""

FISH = r"""# Completion of pdesim in fish.
# In ~/.config/fish/config.fish:  pdesim completion fish | source
function __pdesim_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l kept (string match -r '^.*=' -- $current)
    set -l started (string replace -r '^.*=' '' -- $current)
    for line in (command $words[1] complete -- $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case ':file'
                __fish_complete_path $current
            case ':folder'
                for folder in (__fish_complete_directories $started '')
                    echo "$kept$folder"
                end
            case '*'
                echo $line
        end
    end
end
complete -c pdesim -f -a '(__pdesim_complete)'
"""

#: shell -> its script
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
