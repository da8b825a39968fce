"""What the machine is asked for: programs, waiting, signals, files that last, a terminal.

process     the only door to other programs
wait        the only thing that sleeps
interrupts  Ctrl-C, SIGTERM and a closed terminal
undoing     the end of what was begun
cache       the directory where things outlive a run
console     what a person sees meanwhile
"""
