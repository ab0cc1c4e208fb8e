# Who may talk to whom; nothing else passes. No group opens port 22: operators come by SSM.

locals {
  groups = {
    alb        = "Load balancer: HTTPS of the world, and HTTP to redirect it"
    app        = "Instances of API and workers"
    operations = "Operations host: Prometheus, releases"
    database   = "PostgreSQL"
    cache      = "Redis: cache and broker"
    endpoints  = "Interface endpoints of AWS services"
  }

  # from: a group's name, or the world. The other end's egress rule is made of the same row.
  flows = {
    web_https       = { from = "world", to = "alb", port = 443 }
    web_http        = { from = "world", to = "alb", port = 80 }
    alb_app         = { from = "alb", to = "app", port = local.ports.https }
    app_database    = { from = "app", to = "database", port = local.ports.postgres }
    app_cache       = { from = "app", to = "cache", port = local.ports.redis }
    app_endpoints   = { from = "app", to = "endpoints", port = local.ports.https }
    ops_database    = { from = "operations", to = "database", port = local.ports.postgres }
    ops_cache       = { from = "operations", to = "cache", port = local.ports.redis }
    ops_endpoints   = { from = "operations", to = "endpoints", port = local.ports.https }
    ops_api         = { from = "operations", to = "app", port = local.ports.api }
    ops_api_metrics = { from = "operations", to = "app", port = local.ports.metrics }
    ops_job_metrics = { from = "operations", to = "app", port = local.ports.worker_metrics, last = local.ports.worker_metrics + 1 }
  }
}

resource "aws_security_group" "this" {
  for_each = local.groups

  name        = "${local.name}-${each.key}"
  description = each.value
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${local.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = local.flows

  security_group_id            = aws_security_group.this[each.value.to].id
  description                  = "${each.value.from} to ${each.value.to}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = try(each.value.last, each.value.port)
  cidr_ipv4                    = each.value.from == "world" ? "0.0.0.0/0" : null
  referenced_security_group_id = each.value.from == "world" ? null : aws_security_group.this[each.value.from].id
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each = { for name, flow in local.flows : name => flow if flow.from != "world" }

  security_group_id            = aws_security_group.this[each.value.from].id
  description                  = "${each.value.from} to ${each.value.to}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = try(each.value.last, each.value.port)
  referenced_security_group_id = aws_security_group.this[each.value.to].id
}

# Packages, container layers, S3 and AWS's APIs: all are HTTPS.
resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = toset(["app", "operations"])

  security_group_id = aws_security_group.this[each.key].id
  description       = "HTTPS to AWS and package repositories"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}
