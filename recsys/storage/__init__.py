"""Files that must not be lost: the workspace, the bundle registry, the session store."""
