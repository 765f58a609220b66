# shellcheck shell=bash
# shellcheck disable=SC2034 # take_value sets variables of the caller.
# Sourced by deploy.sh and cleanup.sh: what stands on their command lines.

# take_value "$@": the value of the flag in front, given as `--flag value` or `--flag=value`; sets value, and in words
# how many words that were.
take_value() {
  local flag=${1%%=*}
  if [[ $1 == *=* ]]; then
    value=${1#*=} words=1
  else
    value=${2-} words=2
    [[ $value != --* ]] || value=
  fi
  [[ -n $value ]] || fail "$flag needs a value: $flag VALUE or $flag=VALUE." 2
}

# seconds_of DURATION: prints 90 for 1m30s.
seconds_of() {
  [[ $1 =~ ^(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?$ && -n $1 ]] ||
    fail "--timeout does not understand '$1': write a duration as 90s, 5m or 1h30m." 2
  echo $((10#${BASH_REMATCH[2]:-0} * 3600 + 10#${BASH_REMATCH[4]:-0} * 60 + 10#${BASH_REMATCH[6]:-0}))
}

# only_for WHERE FLAG...: the flags that were given although they mean nothing there.
only_for() {
  local where=$1
  shift
  (($# == 0)) || fail "$* has no meaning $where; --help tells which flags go together." 2
}
