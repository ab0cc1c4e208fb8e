output "database_address" {
  description = "Host of the primary, for DATABASE_URL."
  value       = aws_db_instance.primary.address
}

output "replica_address" {
  description = "Host of the replica, for DATABASE_REPLICA_URL."
  value       = aws_db_instance.replica.address
}

output "redis_addresses" {
  description = "Hosts of cache and broker, for CACHE_URL and BROKER_URL."
  value       = { for kind, group in aws_elasticache_replication_group.this : kind => group.primary_endpoint_address }
}

output "settings_secret" {
  description = "Name of the secret with the settings."
  value       = aws_secretsmanager_secret.settings.name
}

output "image_repository" {
  description = "Where CI pushes the image."
  value       = aws_ecr_repository.this.repository_url
}

output "ci_roles" {
  description = "Roles of the workflows, for the variables of the repository."
  value       = { for kind, role in aws_iam_role.ci : kind => role.arn }
}

output "listener" {
  description = "Listener whose weights a release moves."
  value       = aws_lb_listener.https.arn
}

output "target_groups" {
  description = "Target group of each colour."
  value       = { for colour, group in aws_lb_target_group.this : colour => group.arn }
}
