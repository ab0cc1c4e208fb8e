# The secret settings of the service, as one JSON object of NAME: value. An operator writes them
# with `aws secretsmanager put-secret-value`; Terraform and its state never see them.

resource "aws_secretsmanager_secret" "settings" {
  #checkov:skip=CKV2_AWS_57:Its parts rotate each in its own way, by an operator: docs/deployment.md.

  name                    = "${local.name}/settings"
  description             = "DATABASE_URL, CACHE_URL, BROKER_URL, JWT_SECRET, ADMIN_PASSWORD, FLOWER_BASIC_AUTH"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = var.deletion_protection ? 30 : 0
}

# Which image the instances of a colour run: a release sets it.
resource "aws_ssm_parameter" "image" {
  #checkov:skip=CKV2_AWS_34:It has no secret, and every instance reads it.

  for_each = local.colours

  name  = "/${local.name}/${each.key}/image"
  type  = "String"
  value = "${aws_ecr_repository.this.repository_url}@${var.image_digest}"

  lifecycle {
    ignore_changes = [value]
  }
}

resource "aws_ecr_repository" "this" {
  name                 = local.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.deletion_protection

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.this.arn
  }
}
