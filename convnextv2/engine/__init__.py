"""How the commands run: command line, config, runner, checkpoints, processes."""
