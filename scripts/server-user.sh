# shellcheck shell=bash
# Sourced: who runs the database server. PostgreSQL refuses root, so root hands over to a user without rights.

server_user=postgres
id "$server_user" >/dev/null 2>&1 || server_user=nobody

server_locale=C
[[ $(LC_ALL=C.UTF-8 locale charmap 2>/dev/null) != UTF-8 ]] || server_locale=C.UTF-8

# In front of a command: runs it as that user, without the caller's environment.
as_server_user=(env -i PATH="$PATH" LC_ALL="$server_locale")
if ((EUID == 0)); then
  as_server_user=(setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --clear-groups "${as_server_user[@]}")
fi
