# The security properties of the reference, each an assertion whose message is its name. The
# providers are mocks: `terraform test` needs no account and no network.

mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "aws" {
  alias  = "replica"
  source = "./tests/mocks"
}

mock_provider "aws" {
  alias  = "global"
  source = "./tests/mocks"
}

run "network" {
  command = apply

  assert {
    condition     = aws_vpc.this.cidr_block == "10.0.0.0/16"
    error_message = "VPC isolation: the VPC has the reference's addresses"
  }

  assert {
    condition     = length(distinct([for subnet in aws_subnet.this : subnet.availability_zone])) == 2
    error_message = "Two zones: the subnets lie in two availability zones"
  }

  assert {
    condition = alltrue([
      for tier in ["public", "data", "app"] :
      length(distinct([for key, subnet in aws_subnet.this : subnet.availability_zone if startswith(key, tier)])) == 2
    ])
    error_message = "Two zones: each tier has a subnet in each zone"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.this : !subnet.map_public_ip_on_launch])
    error_message = "Public and private subnets: no subnet hands out public addresses"
  }

  assert {
    condition     = aws_route.public.route_table_id == aws_route_table.this["public"].id && aws_route.public.gateway_id == aws_internet_gateway.this.id
    error_message = "Internet gateway: only the public subnets are routed to it"
  }

  assert {
    condition     = alltrue([for index in range(2) : aws_route.app[index].nat_gateway_id == aws_nat_gateway.this[index].id])
    error_message = "NAT gateways: each zone's instances go out by their own"
  }

  assert {
    condition     = !contains(concat([aws_route.public.route_table_id], aws_route.app[*].route_table_id), aws_route_table.this["data"].id)
    error_message = "Private subnets: the data tier has no route to the internet"
  }

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL"
    error_message = "Traffic control: accepted and rejected flows are logged"
  }

  assert {
    condition     = aws_default_security_group.this.vpc_id == aws_vpc.this.id && length(aws_default_security_group.this.ingress) == 0
    error_message = "Traffic control: the VPC's default group lets nothing pass"
  }
}

run "security_groups" {
  command = apply

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.this : contains([80, 443], rule.from_port) && rule.to_port == rule.from_port if rule.cidr_ipv4 != null])
    error_message = "Web group: the world reaches ports 80 and 443 only"
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.this : rule.security_group_id == aws_security_group.this["alb"].id if rule.cidr_ipv4 != null])
    error_message = "Web group: the world reaches the load balancer only"
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.this : rule.from_port > 22 || rule.to_port < 22])
    error_message = "SSM instead of SSH: no group opens port 22"
  }

  assert {
    condition = toset([
      for rule in aws_vpc_security_group_ingress_rule.this : rule.referenced_security_group_id
      if rule.security_group_id == aws_security_group.this["app"].id && rule.from_port == 443
    ]) == toset([aws_security_group.this["alb"].id])
    error_message = "App group: clients come by the load balancer only"
  }

  assert {
    condition = alltrue([
      for rule in aws_vpc_security_group_ingress_rule.this :
      contains([aws_security_group.this["app"].id, aws_security_group.this["operations"].id], rule.referenced_security_group_id)
      && rule.from_port == 5432 && rule.to_port == 5432
      if rule.security_group_id == aws_security_group.this["database"].id
    ])
    error_message = "Database group: port 5432 for instances of the service only"
  }

  assert {
    condition = alltrue([
      for rule in aws_vpc_security_group_ingress_rule.this :
      contains([aws_security_group.this["app"].id, aws_security_group.this["operations"].id], rule.referenced_security_group_id)
      && rule.from_port == 6379 && rule.to_port == 6379
      if rule.security_group_id == aws_security_group.this["cache"].id
    ])
    error_message = "Cache group: port 6379 for instances of the service only"
  }

  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && !strcontains(aws_vpc_endpoint.s3.policy, "s3:*")
    error_message = "S3: instances reach named buckets by the gateway endpoint"
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_egress_rule.https : rule.from_port == 443 && rule.to_port == 443])
    error_message = "App group: instances reach the internet by HTTPS only"
  }
}

run "edge" {
  command = apply

  assert {
    condition     = startswith(aws_lb_listener.https.ssl_policy, "ELBSecurityPolicy-TLS13-") && aws_lb_listener.https.protocol == "HTTPS"
    error_message = "TLS 1.3: the load balancer's policy offers it"
  }

  assert {
    condition     = aws_lb_listener.http.default_action[0].redirect[0].protocol == "HTTPS" && aws_lb_listener.http.default_action[0].redirect[0].status_code == "HTTP_301"
    error_message = "HTTPS: port 80 only redirects"
  }

  assert {
    condition     = alltrue([for group in aws_lb_target_group.this : group.protocol == "HTTPS"])
    error_message = "End-to-end encryption: the load balancer speaks TLS to the instances"
  }

  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.desync_mitigation_mode == "strictest"
    error_message = "Input validation: ambiguous requests end at the load balancer"
  }

  assert {
    condition     = aws_lb.this.access_logs[0].enabled && aws_lb.this.enable_deletion_protection
    error_message = "Load balancer: access is logged, and deletion needs two steps"
  }

  assert {
    condition     = length(aws_lb_listener.https.default_action[0].forward[0].target_group) == 2
    error_message = "Blue-green: the listener weights two target groups"
  }

  assert {
    condition     = alltrue([for group in aws_lb_target_group.this : group.health_check[0].path == "/health/ready"])
    error_message = "Health check validation: an instance serves when it is ready"
  }

  assert {
    condition     = aws_wafv2_web_acl_association.alb.resource_arn == aws_lb.this.arn
    error_message = "WAF: it is in front of the load balancer"
  }

  assert {
    condition = toset([
      for rule in aws_wafv2_web_acl.this.rule : rule.statement[0].managed_rule_group_statement[0].name
      if length(rule.statement[0].managed_rule_group_statement) > 0
      ]) == toset([
      "AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesCommonRuleSet",
      "AWSManagedRulesKnownBadInputsRuleSet", "AWSManagedRulesSQLiRuleSet",
    ])
    error_message = "WAF: known attacks, SQL injection among them, are blocked"
  }

  assert {
    condition     = anytrue([for rule in aws_wafv2_web_acl.this.rule : length(rule.statement[0].rate_based_statement) > 0])
    error_message = "Rate limiting: WAF blocks an address that floods"
  }

  assert {
    condition = anytrue(flatten([
      for rule in aws_wafv2_web_acl.this.rule : [
        for group in rule.statement[0].managed_rule_group_statement :
        [for override in group.rule_action_override : override.name == "SizeRestrictions_BODY"]
      ]
    ]))
    error_message = "WAF: uploads of images pass its 8 KB limit of bodies"
  }

  assert {
    condition     = length(aws_wafv2_web_acl_logging_configuration.this.redacted_fields) == 2
    error_message = "WAF: its log has neither tokens nor cookies"
  }

  assert {
    condition     = aws_cloudfront_distribution.images.default_cache_behavior[0].viewer_protocol_policy == "redirect-to-https" && aws_cloudfront_distribution.images.viewer_certificate[0].minimum_protocol_version == "TLSv1.2_2021"
    error_message = "HTTPS: images are served by TLS only"
  }

  assert {
    condition     = aws_cloudfront_distribution.images.default_cache_behavior[0].allowed_methods == toset(["GET", "HEAD"])
    error_message = "Images: clients can read and nothing else"
  }

  assert {
    condition     = aws_route53_record.caa.records == toset(["0 issue \"amazon.com\"", "0 issuewild \";\""])
    error_message = "Certificates: only Amazon may issue the domain's"
  }
}

run "database" {
  command = apply

  assert {
    condition     = aws_db_instance.primary.multi_az
    error_message = "Multi-AZ: the database has a standby in the other zone"
  }

  assert {
    condition     = aws_db_instance.replica.replicate_source_db == aws_db_instance.primary.identifier && aws_db_instance.replica.availability_zone == "ap-southeast-2b"
    error_message = "Read replica: it is in the second zone"
  }

  assert {
    condition     = aws_db_instance.primary.storage_encrypted && aws_db_instance.replica.storage_encrypted && aws_db_instance.primary.kms_key_id == aws_kms_key.this.arn
    error_message = "Database encryption at rest: primary and replica, with the service's key"
  }

  assert {
    condition     = contains([for each in aws_db_parameter_group.this.parameter : "${each.name}=${each.value}"], "rds.force_ssl=1")
    error_message = "SSL/TLS for database connections: others are refused"
  }

  assert {
    condition     = aws_db_instance.primary.parameter_group_name == aws_db_parameter_group.this.name && aws_db_instance.replica.parameter_group_name == aws_db_parameter_group.this.name
    error_message = "SSL/TLS for database connections: primary and replica have the parameters"
  }

  assert {
    condition     = !aws_db_instance.primary.publicly_accessible && !aws_db_instance.replica.publicly_accessible
    error_message = "Private subnets: the database has no public address"
  }

  assert {
    condition     = aws_db_subnet_group.this.subnet_ids == toset([aws_subnet.this["data-0"].id, aws_subnet.this["data-1"].id])
    error_message = "Private subnets: the database is in the data tier"
  }

  assert {
    condition     = aws_db_instance.primary.backup_retention_period == 7
    error_message = "Backups: they are kept for 7 days"
  }

  assert {
    condition     = aws_db_instance.primary.deletion_protection && !aws_db_instance.primary.skip_final_snapshot
    error_message = "Backups: deletion needs two steps and leaves a snapshot"
  }

  assert {
    condition     = aws_db_instance.primary.manage_master_user_password && aws_db_instance.primary.password == null
    error_message = "Secrets: the master password is made by RDS and in Secrets Manager only"
  }

  assert {
    condition     = aws_db_instance.primary.storage_type == "gp3" && aws_db_instance.primary.allocated_storage == 20 && aws_db_instance.primary.max_allocated_storage > 20
    error_message = "Database storage: 20 GB of gp3 that grow by themselves"
  }
}

run "redis" {
  command = apply

  assert {
    condition     = toset(keys(aws_elasticache_replication_group.this)) == toset(["cache", "broker"])
    error_message = "Redis: cache and broker are two groups, apart from the instances"
  }

  assert {
    condition     = alltrue([for group in aws_elasticache_replication_group.this : group.transit_encryption_enabled && group.transit_encryption_mode == "required"])
    error_message = "Redis encryption in transit: plain connections are refused"
  }

  assert {
    condition     = alltrue([for group in aws_elasticache_replication_group.this : tostring(group.at_rest_encryption_enabled) == "true"])
    error_message = "Redis encryption at rest"
  }

  assert {
    condition     = alltrue([for kind, group in aws_elasticache_replication_group.this : nonsensitive(group.auth_token == var.redis_auth_tokens[kind])])
    error_message = "Redis asks for a password, one a group"
  }

  assert {
    condition = { for kind, group in aws_elasticache_parameter_group.this : kind => one([for each in group.parameter : each.value if each.name == "maxmemory-policy"]) } == {
      broker = "noeviction", cache = "allkeys-lru"
    }
    error_message = "Redis eviction: the cache evicts, the broker never"
  }

  assert {
    condition     = alltrue([for group in aws_elasticache_replication_group.this : group.multi_az_enabled && group.automatic_failover_enabled])
    error_message = "Redis fails over to the other zone"
  }

  assert {
    condition     = aws_elasticache_subnet_group.this.subnet_ids == toset([aws_subnet.this["data-0"].id, aws_subnet.this["data-1"].id])
    error_message = "Private subnets: Redis is in the data tier"
  }
}
