"""What of the settings shapes the change contract: the catalogue and the options of the pipeline."""

from enrichers.pipeline import Pipeline, PipelineOptions
from models.catalogue import Catalogue, load_catalogue
from models.yaml_nodes import InvalidFile
from workers.failures import ConfigurationError
from workers.settings import Settings


def read_catalogue(settings: Settings) -> Catalogue:
    """Built-in tables and tables.yaml. Raises ConfigurationError with every mistake at once."""
    try:
        return load_catalogue(settings.catalogue, settings.tables)
    except InvalidFile as error:
        problems = "\n     ".join(error.problems)
        raise ConfigurationError(problems, hint="mend tables.yaml, all mistakes are listed") from None


def pipeline_options(settings: Settings, redaction_key: bytes | None) -> PipelineOptions:
    """What the pure pipeline needs of the settings."""
    return PipelineOptions(
        service=settings.event_source,
        environment=settings.environment,
        redaction_key=redaction_key,
        redaction_enabled=settings.enable_data_redaction,
        strict_tables=settings.strict_tables,
        time_zone=settings.time_zone,
        readings={spec.name: spec.reading for spec in settings.sources},
        validate=settings.row_validation,
    )


def enrich_pipeline(settings: Settings, catalogue: Catalogue) -> Pipeline:
    """The pipeline of the enrich stage. Raises ConfigurationError if a rule needs a key that is not set."""
    needs_key = catalogue.needs_redaction_key and settings.enable_data_redaction
    return Pipeline(catalogue, pipeline_options(settings, settings.redaction_secret() if needs_key else None))
