locals {
  name = "enrollment-${var.environment}"
  tags = {
    Service     = "course-enrollment"
    Environment = var.environment
    ManagedBy   = "terraform"
  }

  account = data.aws_caller_identity.current.account_id
  colours = toset(["blue", "green"])

  capacity = {
    small = {
      instance_type       = "t3.small"
      instances           = { min = 2, max = 4 }
      api_workers         = 2
      pool_size           = 4
      database_class      = "db.t4g.micro"
      database_storage_gb = 20
      cache_node          = "cache.t4g.micro"
      broker_node         = "cache.t4g.micro"
      operations_type     = "t3.small"
    }
    large = {
      instance_type       = "c7i.xlarge"
      instances           = { min = 4, max = 12 }
      api_workers         = 4
      pool_size           = 10
      database_class      = "db.m7g.xlarge"
      database_storage_gb = 200
      cache_node          = "cache.m7g.large"
      broker_node         = "cache.t4g.medium"
      operations_type     = "t3.medium"
    }
  }[var.size]

  # Port by port what listens on an instance.
  ports = {
    https          = 443
    api            = 8080
    metrics        = 9080
    worker_metrics = 9180
    postgres       = 5432
    redis          = 6379
  }
}
