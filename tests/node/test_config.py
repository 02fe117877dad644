"""Settings: layers, messages, documentation.

Rule: what an operator can get wrong is answered with the place and the name that was meant.
Spec: docs/reference/config.md. Deviations: none.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from node.config import ENV_PREFIX, all_keys, find_key, load_config, parse_text
from node.config_schema import PROFILES, Config
from primitives.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
KEYS_MAX = 45


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_without_anything_everything_has_its_default(file: Path) -> None:
    loaded = load_config(file, environ={})
    assert loaded.config == Config()
    assert set(loaded.origins.values()) == {"default", "profile"} & set(loaded.origins.values())


def test_a_flag_beats_the_environment_beats_the_file_beats_the_profile(file: Path) -> None:
    file.write_text('profile = "lowpower"\n[storage]\nchain_gb = 30\n')
    name = "storage.chain_gb"
    variable = {ENV_PREFIX + "STORAGE_CHAIN_GB": "40"}

    def value(environ: dict[str, str], flags: dict[str, int]) -> tuple[int, str]:
        loaded = load_config(file, environ=environ, flags=flags)
        return loaded.config.storage.chain_gb, loaded.origins[name]

    assert value(variable, {name: 50}) == (50, "flag")
    assert value(variable, {}) == (40, "env")
    assert value({}, {}) == (30, "file")
    file.write_text('profile = "lowpower"\n')
    assert value({}, {}) == (10, "profile")
    assert value({ENV_PREFIX + "PROFILE": "home"}, {}) == (50, "default")


def test_a_misspelt_setting_names_its_line_and_the_right_one(file: Path) -> None:
    file.write_text("# hello\n[storage]\narchive = true\nchain_g = 3\n")
    with pytest.raises(ConfigError) as refused:
        load_config(file, environ={})
    assert "'storage.chain_g'" in str(refused.value)
    assert "line 4" in str(refused.value)
    assert "storage.chain_gb" in refused.value.fix
    assert refused.value.exit_code == 3


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('[storage]\nchain_gb = "many"\n', "Expected `int`, got `str`"),
        ("[storage]\nchain_gb = 0\n", ">= 1"),
        ("[api]\nlisten = 8640\n", "line 2"),
        ('[api]\nlisten = "nowhere"\n', "api.listen: it is HOST:PORT, such as 127.0.0.1:8640"),
        ('[evm]\nrpc_urls = ["127.0.0.1"]\n', "evm.rpc_urls: it is a URL with http://"),
        ('[evm]\nrelay_fees = ["USDX"]\n', "evm.relay_fees: it is ASSET:ATOMS"),
        ('profile = "huge"\n', "profile"),
        ("version = 2\n", "version"),
        ("[p2p\n", "TOML"),
        ("p2p = 3\n", "p2p"),
        ("x = " + "[" * 5_000, "config.toml"),
    ],
)
def test_a_bad_value_is_explained(file: Path, text: str, hint: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_config(file, environ={})
    assert hint in f"{refused.value} {refused.value.fix}"


def test_an_unknown_variable_warns_and_names_the_right_one() -> None:
    loaded = load_config(
        None, environ={ENV_PREFIX + "STORAGE_CHAIN_GBB": "3", ENV_PREFIX + "HOME": "/x"}
    )
    (warning,) = loaded.warnings
    assert ENV_PREFIX + "STORAGE_CHAIN_GB" in warning


def test_a_variable_with_a_bad_value_is_refused() -> None:
    for variable, text in (
        ("STORAGE_CHAIN_GB", "three"),
        ("STORAGE_ARCHIVE", "perhaps"),
        ("STORAGE_CHAIN_GB", "9" * 400),
    ):
        with pytest.raises(ConfigError):
            load_config(None, environ={ENV_PREFIX + variable: text})


def test_text_becomes_the_type_of_its_setting() -> None:
    assert parse_text(find_key("storage.archive"), "yes") is True
    assert parse_text(find_key("storage.chain_gb"), "12") == 12
    assert parse_text(find_key("evm.rpc_urls"), "http://a, http://b") == ["http://a", "http://b"]


def test_every_profile_is_a_valid_configuration() -> None:
    for profile in PROFILES:
        loaded = load_config(None, environ={}, flags={"profile": profile})
        assert loaded.config.profile == profile


def test_settings_are_few_and_each_is_documented() -> None:
    page = (ROOT / "docs/reference/config.md").read_text(encoding="utf-8")
    assert len(all_keys()) <= KEYS_MAX
    for key in all_keys().values():
        assert key.about, key.name
        assert f"`{key.name}`" in page, f"{key.name} is missing in docs/reference/config.md"
        assert key.about in page, f"the meaning of {key.name} has changed"


def test_every_setting_is_used_somewhere() -> None:
    """A setting without effect is a promise."""
    own = {"config_schema.py", "metrics.py"}
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "node").rglob("*.py")
        if path.name not in own and "cli" not in path.parts
    )
    read_by_the_loader = {"version", "profile"}
    for name in set(all_keys()) - read_by_the_loader:
        inner = name.rpartition(".")[2]
        uses = (name, f"settings.{inner}", f"config.{inner}")
        assert any(re.search(rf"\b{re.escape(use)}\b", sources) for use in uses), name
