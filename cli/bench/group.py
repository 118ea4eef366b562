"""The commands of `tandem bench`, with their examples."""

from __future__ import annotations

import typer

from cli.bench.cloud import cloud
from cli.bench.cold import cold
from cli.bench.device import device
from cli.bench.edge_cloud import edge_cloud
from cli.bench.federated import federated
from cli.bench.index import index
from cli.bench.likes import likes
from cli.bench.population import population
from cli.bench.prepare import prepare
from cli.bench.query_tower import query_tower
from cli.bench.resumption import resumption
from cli.bench.serving import serving
from cli.bench.soak import soak
from cli.bench.start import start
from cli.bench.strict import strict
from cli.bench.survival import survival
from cli.epilog import example

bench = typer.Typer(help="Measure quality, time and size; results go into reports/.", no_args_is_help=True)

bench.command("query-tower", epilog=example("tandem bench query-tower", "tandem bench query-tower --users 500 --json"))(
    query_tower
)
bench.command(
    epilog=example(
        "tandem bench cloud --protocol P2",
        "tandem bench cloud --protocol P3 --protocol P4 --seeds 3 --json",
        "tandem bench cloud --arms transitions,blend,tandem_retrieval --config my_cloud.toml",
    )
)(cloud)
bench.command(epilog=example("tandem bench survival", "tandem bench survival --kills 3 --json"))(survival)
bench.command(epilog=example("tandem bench resumption", "tandem bench resumption --kills 3 --json"))(resumption)
bench.command(epilog=example("tandem bench likes", "tandem bench likes --seeds 3 --config my_cloud.toml --json"))(likes)
bench.command(epilog=example("tandem bench cold", "tandem bench cold --config my_cloud.toml --json"))(cold)
bench.command(
    epilog=example(
        "tandem bench index",
        "tandem bench index --items 200000 --factory auto --factory HNSW32",
        "tandem bench index --vectors clustered --json",
    )
)(index)
bench.command(epilog=example("tandem bench prepare", "tandem bench prepare --rows 200000 --repeats 3 --json"))(prepare)
bench.command(
    epilog=example(
        "tandem bench federated",
        "tandem bench federated --slope 100000 --json",
        "tandem bench federated --learn",
        "tandem bench federated --arm fed_avg --arm robust --config federated.toml",
    )
)(federated)
bench.command(
    epilog=example(
        "tandem bench population", "tandem bench population --people 100000 --clients 1000 --events 50 --events 500"
    )
)(population)
bench.command(
    epilog=example(
        "tandem bench strict",
        "tandem bench strict --protocol P1 --protocol P4 --json",
        "tandem bench strict --dropout 0.3 --validation",
        "tandem bench strict --tower",
    )
)(strict)
bench.command(
    "edge-cloud",
    epilog=example(
        "tandem bench edge-cloud",
        "tandem bench edge-cloud --users 1000 --json",
        "tandem bench edge-cloud --config federated.toml",
    ),
)(edge_cloud)
bench.command(epilog=example("tandem bench device", "tandem bench device --users 500 --json"))(device)
bench.command(epilog=example("tandem bench start", "tandem bench start --repeats 20 --json"))(start)
bench.command(
    epilog=example(
        "tandem bench serving", "tandem bench serving --items 100000", "tandem bench serving --run-seconds 30 --json"
    )
)(serving)
bench.command(epilog=example("tandem bench soak", "tandem bench soak --run-seconds 60 --workers 3 --json"))(soak)
