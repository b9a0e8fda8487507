"""`lowland completion`: what a shell needs to complete commands, options and names."""

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog="""\b
Examples:
  lowland completion bash >> ~/.bashrc
  lowland completion zsh >> ~/.zshrc
  lowland completion fish > ~/.config/fish/completions/lowland.fish"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that has a shell complete `lowland`.

    The shell is to read it when it starts.
    """
    made = get_completion_class(shell)
    assert made is not None  # click has these three
    script = made(ctx.find_root().command, {}, "lowland", "_LOWLAND_COMPLETE")
    # not source(): of bash it starts one to look at its version
    click.echo(script.source_template % script.source_vars())
