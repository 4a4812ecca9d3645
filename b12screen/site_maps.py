"""The code maps of one site: the shipped ones, and the codes that its settings add.

A site adds codes and changes none: a code that the shipped map has in the same group, or as a drug,
is refused, so that an update of the maps never meets a silent exception. Rows of a site carry its
settings file as their source and ``site`` for how they were verified.
"""

from dataclasses import replace

import polars as pl

from b12screen.errors import SettingsInvalid
from b12screen.maps import Maps, fold_code, fold_unit, fold_words, load_maps
from b12screen.settings import SETTINGS_FILE, Settings

# Source and verification of a row that a site has added.
BY_SITE = (SETTINGS_FILE, "site")
BY_REVIEWER = ("maps/tests.csv", "site")


def maps_of(settings: Settings) -> Maps:
    """The maps with the site's own codes; SettingsInvalid names each that is shipped already."""
    maps = load_maps()
    tests_can_be_read(settings, maps)
    own = replace(
        maps,
        # Shown in the night's file; which laboratory it counts for is the settings' to say.
        test=pl.DataFrame(
            [
                (row.code_system, row.code, row.analyte, "any", row.laboratory, *BY_REVIEWER)
                for row in settings.accepted
                if row.decision == "accept"
            ],
            schema=maps.test.schema,
            orient="row",
        ).unique(maintain_order=True),
        condition=pl.DataFrame(
            [
                (system, fold_code(code), "exact", each.group, each.tier, each.meaning, *BY_SITE)
                for system, codes in settings.conditions.items()
                for code, each in codes.items()
            ],
            schema=maps.condition.schema,
            orient="row",
        ),
        drug=pl.DataFrame(
            [
                (
                    system,
                    fold_code(code),
                    "exact",
                    each.substance,
                    "",
                    None,
                    each.is_b12,
                    each.is_folic_acid,
                    False,
                    each.meaning,
                    *BY_SITE,
                )
                for system, codes in settings.drugs.items()
                for code, each in codes.items()
            ],
            schema=maps.drug.schema,
            orient="row",
        ),
    )
    findings = []
    for name, shipped, added, key in (
        ("conditions", maps.condition, own.condition, ["code_system", "code", "condition_group"]),
        ("drugs", maps.drug, own.drug, ["code_system", "code"]),
    ):
        twice = [
            *added.join(shipped, on=key, how="semi").select(key).iter_rows(),
            *added.filter(added.select(key).is_duplicated()).select(key).unique().iter_rows(),
        ]
        findings += [
            f"{name}.{system}.{code}: is in the map already" for system, code, *_ in sorted(twice)
        ]
    against_shipped(settings, maps)
    if findings:
        raise SettingsInvalid(
            f"{len(findings)} codes of {SETTINGS_FILE} are wrong: {'; '.join(findings)}. Nothing "
            "was read or published. Take them out; to change what a code means, ask for the map "
            "to be changed."
        )
    return replace(
        maps,
        test=pl.concat([maps.test, own.test]),
        condition=pl.concat([maps.condition, own.condition]),
        drug=pl.concat([maps.drug, own.drug]),
    )


def against_shipped(settings: Settings, maps: Maps) -> None:
    """SettingsInvalid where what the site accepted has become another test, or one that is refused.

    Both happen when a new version ships more codes; of the same analyte the shipped row counts.
    """
    analyte_of = {
        (system, code): analyte
        for system, code, analyte in maps.test.select("code_system", "code", "analyte").iter_rows()
    }
    refused = set(maps.refused_test.select("code_system", "code").iter_rows())
    findings = []
    for row in settings.accepted:
        test = (row.code_system, row.code)
        if row.decision != "accept":
            continue
        if test in refused:
            findings.append(f"{row.laboratory}, {row.code}: the shipped map refuses this code")
        elif analyte_of.get(test, row.analyte) != row.analyte:
            findings.append(f"{row.laboratory}, {row.code}: the shipped map names another analyte")
        elif row.laboratory not in settings.laboratories:
            findings.append(f"{row.laboratory}, {row.code}: the settings name no such laboratory")
    if findings:
        raise SettingsInvalid(
            f"{len(findings)} tests that the site accepted are wrong (maps/tests.*.csv): "
            f"{'; '.join(findings)}. Nothing was read or published. Take them out: accept a "
            "workbook with the decision `remove` for them."
        )


def tests_can_be_read(settings: Settings, maps: Maps) -> None:
    """SettingsInvalid where a laboratory's test has a unit or a specimen that no result could have.

    Left alone, every result of that test would be rejected, night after night.
    """
    units = set(maps.unit.select("analyte", "spelling").iter_rows())
    specimens = set(maps.specimen.select("analyte", "specimen").iter_rows())
    analytes: dict[str, set[str]] = {}
    for code, analyte in maps.test.select("code", "analyte").iter_rows():
        analytes.setdefault(code, set()).add(analyte)
    findings = []
    for name, laboratory in settings.laboratories.items():
        for code, test in laboratory.tests.items():
            key = f"laboratories.{name}.tests.{code}"
            if test.unit is not None and (test.analyte, fold_unit(test.unit)) not in units:
                findings.append(f"{key}.unit: the unit map has no such unit for {test.analyte}")
            if test.specimen and (test.analyte, fold_words(test.specimen)) not in specimens:
                findings.append(f"{key}.specimen: {test.analyte} is not made from it")
        for code, unit in laboratory.default_units.items():
            key = f"laboratories.{name}.default_units.{code}"
            if code not in analytes:
                findings.append(f"{key}: is no code of the shipped map; put the unit into tests")
            elif not any((analyte, fold_unit(unit)) in units for analyte in analytes[code]):
                findings.append(f"{key}: the unit map has no such unit for this test")
    if findings:
        noun = "setting is" if len(findings) == 1 else "settings are"
        raise SettingsInvalid(
            f"{len(findings)} {noun} wrong in {SETTINGS_FILE}: {'; '.join(findings)}. Nothing was "
            "read or published. Mend the file and run again."
        )
