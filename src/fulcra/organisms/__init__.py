"""The bundled model organisms: invented worlds with an exact oracle, and weights trained on one."""
