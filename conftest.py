"""What pytest loads here: the plugin that others get by installing meshproof."""

pytest_plugins = ["meshproof.pytest_plugin"]
