# What instances may do. Objects, secret and image are named; SSM's session channel is AWS's policy.

locals {
  host_statements = [
    {
      Sid      = "Settings"
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = aws_secretsmanager_secret.settings.arn
    },
    {
      Sid      = "PullTheImage"
      Effect   = "Allow"
      Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
      Resource = aws_ecr_repository.this.arn
    },
    { Sid = "RegistryToken", Effect = "Allow", Action = "ecr:GetAuthorizationToken", Resource = "*" },
    {
      Sid      = "WhichImage"
      Effect   = "Allow"
      Action   = "ssm:GetParameter"
      Resource = [for parameter in aws_ssm_parameter.image : parameter.arn]
    },
    {
      Sid      = "Logs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.this["service"].arn}:*"
    },
    {
      Sid      = "Decrypt"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = aws_kms_key.this.arn
      Condition = { StringEquals = { "kms:ViaService" = [
        for service in ["s3", "secretsmanager"] : "${service}.${var.region}.amazonaws.com"
      ] } }
    },
  ]

  image_statements = [
    {
      Sid      = "Images"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
      Resource = "${aws_s3_bucket.images.arn}/*"
    },
    { Sid = "ListImages", Effect = "Allow", Action = "s3:ListBucket", Resource = aws_s3_bucket.images.arn },
  ]

  host_roles = {
    app        = concat(local.host_statements, local.image_statements)
    operations = concat(local.host_statements, local.image_statements, local.release_statements)
  }
}

resource "aws_iam_role" "host" {
  for_each = toset(["app", "operations"])

  name               = "${local.name}-${each.key}"
  assume_role_policy = jsonencode(local.trust["ec2.amazonaws.com"])
}

resource "aws_iam_role_policy" "host" {
  for_each = aws_iam_role.host

  role   = each.value.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.host_roles[each.key] })
}

resource "aws_iam_role_policy_attachment" "host" {
  for_each = merge([
    for role in ["app", "operations"] : {
      for policy in ["AmazonSSMManagedInstanceCore", "CloudWatchAgentServerPolicy"] : "${role}-${policy}" => {
        role   = role
        policy = policy
      }
    }
  ]...)

  role       = aws_iam_role.host[each.value.role].name
  policy_arn = "arn:aws:iam::aws:policy/${each.value.policy}"
}

resource "aws_iam_instance_profile" "app" {
  name = "${local.name}-app"
  role = aws_iam_role.host["app"].name
}

resource "aws_iam_instance_profile" "operations" {
  name = "${local.name}-operations"
  role = aws_iam_role.host["operations"].name
}
