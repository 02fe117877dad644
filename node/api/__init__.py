"""Show the node to traders, operators and the page: REST, WebSocket and metrics under `/v1`.

Rule: nothing in here knows how the node works; everything comes through `NodeService`.
Spec: docs/reference/api.md. Deviations: none.
"""
