# Two groups, for the cache evicts and the broker must not. Both are apart from the instances, so a
# replaced instance takes no entries with it.

locals {
  redis = {
    cache  = { node = local.capacity.cache_node, eviction = "allkeys-lru", snapshots = 0 }
    broker = { node = local.capacity.broker_node, eviction = "noeviction", snapshots = 7 }
  }
}

resource "aws_elasticache_subnet_group" "this" {
  name       = local.name
  subnet_ids = [for index in range(2) : aws_subnet.this["data-${index}"].id]
}

resource "aws_elasticache_parameter_group" "this" {
  for_each = local.redis

  name   = "${local.name}-${each.key}"
  family = "valkey8"

  parameter {
    name  = "maxmemory-policy"
    value = each.value.eviction
  }
}

resource "aws_elasticache_replication_group" "this" {
  for_each = local.redis

  replication_group_id = "${local.name}-${each.key}"
  description          = "${each.key} of ${local.name}"
  engine               = "valkey"
  engine_version       = "8.0"
  node_type            = each.value.node
  port                 = local.ports.redis
  parameter_group_name = aws_elasticache_parameter_group.this[each.key].name

  num_cache_clusters         = 2
  automatic_failover_enabled = true
  multi_az_enabled           = true
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [aws_security_group.this["cache"].id]

  at_rest_encryption_enabled = true
  kms_key_id                 = aws_kms_key.this.arn
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  auth_token                 = var.redis_auth_tokens[each.key]

  snapshot_retention_limit   = each.value.snapshots
  snapshot_window            = "16:00-17:00"
  maintenance_window         = "sun:17:00-sun:18:00"
  auto_minor_version_upgrade = true

  log_delivery_configuration {
    destination      = aws_cloudwatch_log_group.this["redis"].name
    destination_type = "cloudwatch-logs"
    log_format       = "json"
    log_type         = "slow-log"
  }

  # Passwords are rotated with `aws elasticache modify-replication-group`, which keeps both for a while.
  lifecycle {
    ignore_changes = [auth_token]
  }
}
