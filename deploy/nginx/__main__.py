"""Commands for a host of nginx; the parameters are variables of the environment.

render      write the configuration
bootstrap   make a certificate for the first start
issue       get one from Let's Encrypt
install     take a renewed one: certbot's deploy hook
"""

import argparse
import os
import sys
from pathlib import Path

from deploy.nginx import certificates
from deploy.nginx.certificates import CertificateError
from deploy.nginx.checks import ParameterError
from deploy.nginx.parameters import Parameters
from deploy.nginx.render import render

EXIT_REFUSED = 1


def main() -> int:
    """Run a command, or print why that is refused."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.nginx",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("render", "bootstrap", "issue", "install"))
    parser.add_argument("--email", help="the account at the authority (issue)")
    parser.add_argument("--server", default=certificates.LETS_ENCRYPT, help="its ACME directory")
    arguments, options = parser.parse_known_args()
    if options and arguments.command != "issue":
        parser.error(f"{arguments.command} takes no {options[0]}")
    if arguments.command == "issue" and not arguments.email:
        parser.error("issue needs --email")
    try:
        _run(arguments, options)
    except (ParameterError, CertificateError, OSError) as error:
        sys.stderr.write(f"nginx: {error}\n")
        return EXIT_REFUSED
    return 0


def _run(arguments: argparse.Namespace, options: list[str]) -> None:
    parameters = Parameters.of(os.environ)
    match arguments.command:
        case "render":
            render(parameters)
        case "bootstrap":
            certificates.bootstrap(parameters)
        case "issue":
            # What remains are options of certbot.
            certificates.issue(
                parameters, arguments.email, server=arguments.server, options=options
            )
        case "install":
            if not (lineage := os.environ.get("RENEWED_LINEAGE")):
                raise CertificateError("RENEWED_LINEAGE must be set, as certbot does for its hooks")
            certificates.install(parameters, Path(lineage))


if __name__ == "__main__":
    sys.exit(main())
