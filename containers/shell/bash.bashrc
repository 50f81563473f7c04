# Read by every interactive bash of every user, before the user's own ~/.bashrc. It says nothing on the terminal:
# whatever it printed would become part of the agent's first observation.

[[ $- == *i* ]] || return

shopt -s checkwinsize

if [[ -z ${debian_chroot-} && -r /etc/debian_chroot ]]; then
    debian_chroot=$(< /etc/debian_chroot)
fi

PS1='${debian_chroot:+($debian_chroot)}\u@\h:\w\$ '
