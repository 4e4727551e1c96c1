"""Look-ups in the catalog: what is there, where, and what it can run."""

from __future__ import annotations

import pytest

from shardyard.catalog import bases, instances, regions


def test_nothing_of_the_data_is_lost() -> None:
    assert len(bases.all_bases()) == 182
    assert len(regions.names()) == 42
    assert len(instances.names()) == 145
    assert {base.framework for base in bases.all_bases()} == {"pytorch", "tensorflow"}


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "763104351884.dkr.ecr.us-east-1.amazonaws.com"),
        ("af-south-1", "626614931356.dkr.ecr.af-south-1.amazonaws.com"),  # opt-in
        ("cn-north-1", "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "442386744353.dkr.ecr.us-gov-west-1.amazonaws.com"),
        ("us-iso-east-1", "886529160074.dkr.ecr.us-iso-east-1.c2s.ic.gov"),
        ("us-isof-south-1", "454834333376.dkr.ecr.us-isof-south-1.csp.hci.ic.gov"),
    ],
)
def test_each_partition_has_its_own_host_names(region: str, host: str) -> None:
    uri = bases.find("pytorch", "2.0", None, "gpu").uri(region)
    assert uri == f"{host}/pytorch-training:2.0.1-gpu-py310"


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("us-esat-1", "did you mean 'us-east-1'?"),
        ("eusc-de-east-1", "no registry is published there"),
        ("cn-jupiter-42", "cn-north-1"),
        ("", "known regions"),
    ],
)
def test_a_region_without_base_images_says_what_to_type(region: str, said: str) -> None:
    with pytest.raises(bases.NoBase) as caught:
        regions.find(region)
    assert said in f"{caught.value.message} {caught.value.remedy}"
    assert caught.value.key == "registry.region"


def test_every_region_lies_in_its_partition() -> None:
    for name in regions.names():
        assert regions.partition_of(name) == regions.find(name).partition


@pytest.mark.parametrize(
    ("framework", "version", "device", "image"),
    [
        ("pytorch", None, "gpu", "pytorch-training:2.10.0-gpu-py313"),
        ("pytorch", "2.11", "gpu", "pytorch:2.11.0-cu130-amzn2023-sagemaker"),
        ("pytorch", "2.13.0", "cpu", "pytorch:2.13.0-cpu-amzn2023-sagemaker"),
        ("pytorch", "1.13", "gpu", "pytorch-training:1.13.1-gpu-py39"),
        ("tensorflow", "2.21.0", "gpu", "tensorflow-training:2.21.0-gpu-py312-cu129-amzn2023-sagemaker"),
        ("tensorflow", "2.12", "cpu", "tensorflow-training:2.12.0-cpu-py310"),
    ],
)
def test_layouts_that_changed(framework: str, version: str | None, device: str, image: str) -> None:
    found = bases.find(framework, version, None, device)
    assert f"{found.repository}:{found.tag}" == image


def test_a_series_is_not_a_prefix_of_letters() -> None:
    assert {base.version for base in bases.select("pytorch", "2.1")} == {"2.1.0"}
    assert list(bases.select("pytorch", "2.x")) == []
    with pytest.raises(bases.NoBase):
        bases.find("pytorch", "2.x", None, "gpu")


def test_which_bases_carry_the_original_library() -> None:
    newest = {
        base.version: base.smp for base in bases.all_bases() if base.framework == "pytorch" and base.smp
    }
    assert newest["1.12.1"] == "1.13.0"
    assert list(newest)[-1] == "2.0.1"
    assert {base.device for base in bases.all_bases() if base.smp} == {"gpu"}
    plain = bases.find("pytorch", "1.6.0", None, "gpu")
    assert (plain.tag, plain.smp) == ("1.6.0-gpu-py36", None)
    [original] = [base for base in bases.select("pytorch", "1.6.0") if base.smp]
    assert (original.tag, original.smp) == ("1.6.0-gpu-py36-cu110-ubuntu18.04", "1.0.0")


def test_neither_library_runs_in_tensorflow_2_7_to_2_11() -> None:
    gpu = [base for base in bases.select("tensorflow", "2") if base.device == "gpu"]
    carry_or_run = {base.version for base in gpu if base.smp or base.bundled_works}
    stranded = {base.version for base in gpu} - carry_or_run
    stranded = {one for one in stranded if bases.numbers(one) >= (2, 7)}
    assert {bases.numbers(one)[:2] for one in stranded} == {(2, minor) for minor in range(7, 12)}
    assert not [one for one in carry_or_run if (2, 7) <= bases.numbers(one) < (2, 12)]


def test_every_image_is_found_by_its_tags() -> None:
    for base in bases.all_bases():
        for tag in (base.tag, base.full_tag, *base.other_tags):
            found = bases.of_reference(f"localhost:5000/{base.repository}:{tag}@sha256:{'0' * 64}")
            assert found is not None
            assert (found.version, found.device) == (base.version, base.device)
    for reference in ("python:3.12", "pytorch-training", "", "registry/x@sha256:00"):
        assert bases.of_reference(reference) is None


def test_instance_types_know_their_fabric() -> None:
    p4d, p5e, m5 = (instances.find(name) for name in ("ml.p4d.24xlarge", "ml.p5e.48xlarge", "ml.m5.large"))
    assert p4d is not None
    assert p5e is not None
    assert m5 is not None
    assert (p4d.gpus, p4d.toolkit_sets_efa, p4d.toolkit_sets_rdma) == (8, True, True)
    assert (p5e.efa, p5e.toolkit_sets_efa) == (True, False)
    assert (m5.gpus, m5.efa, m5.platform) == (0, False, "linux/amd64")


@pytest.mark.parametrize(
    ("region", "suffix"),
    [("cn-north-1", "amazonaws.com.cn"), ("us-iso-east-1", "c2s.ic.gov"), ("mars-north-1", "amazonaws.com")],
)
def test_the_suffix_of_host_names_is_the_partitions(region: str, suffix: str) -> None:
    assert regions.dns_suffix(region) == suffix
