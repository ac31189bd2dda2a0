"""What tests need of the machine: real Podman, real sshd, a second account, terminals, small disks."""
