"""A look at the servers that run already, before anything is measured: what cannot work ends the session here."""

from collections.abc import Sequence

from bench.contract.backend_facts import BackendFacts
from bench.contract.errors import BadInput, ExchangeError, UntrustedCertificate
from bench.contract.system import Backend, Role
from bench.verification.endpoint_facts import endpoint_facts


def look_at_attached(backends: Sequence[Backend]) -> dict[str, BackendFacts]:
    """What is known of each by name, without those that do not answer: their rows will say so.

    Raises BadInput for a certificate that is not trusted, and where nobody answers and nothing else would be measured.
    """
    found: dict[str, BackendFacts] = {}
    silent: list[ExchangeError] = []
    for backend in backends:
        if not backend.attached:
            continue
        try:
            found[backend.name] = BackendFacts(attached={each.name: endpoint_facts(each) for each in backend.endpoints})
        except UntrustedCertificate as error:
            raise BadInput(str(error)) from error
        except ExchangeError as error:
            silent.append(error)
    if silent and len(silent) == sum(backend.role is Role.SERVER for backend in backends):
        raise BadInput(f"no server answers that was to be measured: {silent[0]}")
    return found
