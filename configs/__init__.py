"""The configuration files of training, as a package, so that they are found where avse is installed."""
