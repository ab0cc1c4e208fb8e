# Roles of GitHub's workflows, assumed by OIDC: no key is stored anywhere. Each trusts one kind of run.

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

locals {
  subject = "repo:${var.github_repository}"

  # The release waits for a reviewer: the environment's rules decide who may have this subject.
  ci_roles = {
    plan    = { subjects = ["${local.subject}:pull_request", "${local.subject}:ref:refs/heads/main"], statements = local.plan_statements }
    image   = { subjects = ["${local.subject}:ref:refs/heads/main"], statements = local.push_statements }
    release = { subjects = ["${local.subject}:environment:${var.environment}"], statements = local.command_statements }
  }

  plan_statements = [
    {
      Sid    = "State"
      Effect = "Allow"
      Action = ["s3:GetObject", "s3:ListBucket"]
      Resource = [
        "arn:aws:s3:::${var.state_bucket}",
        "arn:aws:s3:::${var.state_bucket}/*",
      ]
    },
    {
      Sid    = "NoContents"
      Effect = "Deny"
      Action = ["secretsmanager:GetSecretValue", "s3:GetObject", "s3:GetObjectVersion", "logs:GetLogEvents", "logs:FilterLogEvents", "logs:StartQuery"]
      NotResource = [
        "arn:aws:s3:::${var.state_bucket}/*",
      ]
    },
  ]

  push_statements = [
    { Sid = "RegistryToken", Effect = "Allow", Action = "ecr:GetAuthorizationToken", Resource = "*" },
    {
      Sid    = "Push"
      Effect = "Allow"
      Action = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:GetDownloadUrlForLayer",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
      ]
      Resource = aws_ecr_repository.this.arn
    },
  ]

  command_statements = [
    {
      Sid      = "ReleaseDocument"
      Effect   = "Allow"
      Action   = "ssm:SendCommand"
      Resource = aws_ssm_document.release.arn
    },
    {
      Sid      = "OperationsHost"
      Effect   = "Allow"
      Action   = "ssm:SendCommand"
      Resource = "arn:aws:ec2:${var.region}:${local.account}:instance/*"
      Condition = { StringEquals = {
        "ssm:resourceTag/Role"        = "operations"
        "ssm:resourceTag/Environment" = var.environment
      } }
    },
    { Sid = "Outcome", Effect = "Allow", Action = "ssm:ListCommands", Resource = "*" },
  ]
}

resource "aws_iam_role" "ci" {
  for_each = local.ci_roles

  name                 = "${local.name}-ci-${each.key}"
  max_session_duration = each.key == "release" ? 14400 : 3600

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = aws_iam_openid_connect_provider.github.arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = { StringEquals = {
        "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
        "token.actions.githubusercontent.com:sub" = each.value.subjects
      } }
    }]
  })
}

resource "aws_iam_role_policy" "ci" {
  for_each = local.ci_roles

  role   = aws_iam_role.ci[each.key].id
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value.statements })
}

# A plan reads how all resources are set; `NoContents` keeps it from what is in them.
resource "aws_iam_role_policy_attachment" "plan" {
  role       = aws_iam_role.ci["plan"].name
  policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
}
