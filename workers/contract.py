"""What of the settings shapes the change contract: the catalogue and the options of the pipeline."""

from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.redact import Secret, key_check
from models.canary import TABLE, canary_specs, is_canary
from models.catalogue import Catalogue, load_catalogue
from models.yaml_nodes import InvalidFile
from workers.failures import CommandError, ConfigurationError
from workers.settings.worker import Settings


def read_catalogue(settings: Settings) -> Catalogue:
    """Built-in tables, tables.yaml, and the canary's if there is one. Raises ConfigurationError with every mistake at
    once."""
    try:
        catalogue = load_catalogue(settings.catalogue, settings.tables)
    except InvalidFile as error:
        problems = "\n     ".join(error.problems)
        raise ConfigurationError(problems, hint="mend tables.yaml, all mistakes are listed") from None
    if not settings.canary:
        return catalogue
    canaries = canary_specs(settings.sources, settings.canary_bus)
    if any(is_canary(spec) or spec.name in {one.name for one in canaries} for spec in catalogue.specs):
        raise ConfigurationError(
            f"tables.yaml has a table {TABLE}, which is the canary's", hint="rename it, or set CDC_CANARY=false"
        )
    return Catalogue((*catalogue.specs, *canaries))


def pipeline_options(settings: Settings, redaction_key: bytes | None) -> PipelineOptions:
    """What the pure pipeline needs of the settings. Raises ConfigurationError if the other key cannot be used."""
    other = settings.other_redaction_secret() if redaction_key is not None else None
    return PipelineOptions(
        service=settings.event_source,
        environment=settings.environment,
        redaction_key=redaction_key,
        redaction_key_version=settings.redaction_key_version,
        other_redaction_key=other.key if other else None,
        other_redaction_key_version=other.version if other else 0,
        redaction_enabled=settings.enable_data_redaction,
        strict_tables=settings.strict_tables,
        time_zone=settings.time_zone,
        readings={spec.name: spec.reading for spec in settings.sources},
        validate=settings.row_validation,
    )


def masking(settings: Settings) -> tuple[PipelineOptions, Secret | None, Secret | None, str]:
    """For views: the options, the redaction key and the other one, so that hashes and tokens are those of events. A key
    that cannot be had is None, and the last part says why."""
    why = ""
    try:
        options = pipeline_options(settings, settings.redaction_secret() if settings.has_redaction_key else None)
    except CommandError as error:
        options, why = pipeline_options(settings, None), str(error)
    secret = Secret(options.redaction_key, options.redaction_key_version) if options.redaction_key else None
    other = (
        Secret(options.other_redaction_key, options.other_redaction_key_version)
        if options.other_redaction_key
        else None
    )
    return options, secret, other, why


def key_checks(options: PipelineOptions) -> dict[str, str]:
    """What all workers must agree on of their keys: one version is one key. Told by check values, never by keys."""
    keys = (
        (options.redaction_key, options.redaction_key_version),
        (options.other_redaction_key, options.other_redaction_key_version),
    )
    return {
        f"check value of redaction key version {version}": key_check(Secret(key, version))
        for key, version in keys
        if key
    }


def enrich_pipeline(settings: Settings, catalogue: Catalogue) -> Pipeline:
    """The pipeline of the enrich stage. Raises ConfigurationError if a rule needs a key that is not set."""
    needs_key = catalogue.needs_redaction_key and settings.enable_data_redaction
    return Pipeline(catalogue, pipeline_options(settings, settings.redaction_secret() if needs_key else None))
