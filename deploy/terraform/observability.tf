# Logs, the instances' own metrics, and alarms on what Prometheus inside the VPC can't report: that
# clients don't reach the service, or that the operations host is gone.

locals {
  log_groups = {
    service = "/${local.name}/service"
    flow    = "/${local.name}/vpc-flow"
    redis   = "/${local.name}/redis-slow"
    release = "/${local.name}/release"
    waf     = "aws-waf-logs-${local.name}" # WAF asks for this beginning
  }

  load_balancer = aws_lb.this.arn_suffix

  alarms = {
    answers-5xx = {
      namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", statistic = "Sum"
      above     = 10, minutes = 5, dimensions = { LoadBalancer = local.load_balancer }
    }
    no-healthy-target-5xx = {
      namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_503_Count", statistic = "Sum"
      above     = 0, minutes = 2, dimensions = { LoadBalancer = local.load_balancer }
    }
    slow-answers = {
      namespace = "AWS/ApplicationELB", metric = "TargetResponseTime", statistic = "p95"
      above     = 0.3, minutes = 10, dimensions = { LoadBalancer = local.load_balancer }
    }
    database-cpu = {
      namespace = "AWS/RDS", metric = "CPUUtilization", statistic = "Average"
      above     = 80, minutes = 15, dimensions = { DBInstanceIdentifier = aws_db_instance.primary.identifier }
    }
    replica-lag = {
      namespace = "AWS/RDS", metric = "ReplicaLag", statistic = "Maximum"
      above     = 60, minutes = 5, dimensions = { DBInstanceIdentifier = aws_db_instance.replica.identifier }
    }
    broker-memory = {
      namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", statistic = "Maximum"
      above     = 70, minutes = 10, dimensions = { ReplicationGroupId = "${local.name}-broker" }
    }
    broker-evictions = {
      namespace = "AWS/ElastiCache", metric = "Evictions", statistic = "Sum"
      above     = 0, minutes = 5, dimensions = { ReplicationGroupId = "${local.name}-broker" }
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  for_each = local.log_groups

  name              = each.value
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.this.arn
}

resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  kms_master_key_id = aws_kms_key.this.arn
}

resource "aws_sns_topic_subscription" "email" {
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

resource "aws_cloudwatch_metric_alarm" "above" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 60
  evaluation_periods  = each.value.minutes
  dimensions          = each.value.dimensions
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "disk" {
  alarm_name          = "${local.name}-database-disk"
  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = local.capacity.database_storage_gb * pow(1024, 3) / 10
  period              = 60
  evaluation_periods  = 5
  dimensions          = { DBInstanceIdentifier = aws_db_instance.primary.identifier }
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# A host that is gone reports nothing: missing data is the fault.
resource "aws_cloudwatch_metric_alarm" "operations" {
  alarm_name          = "${local.name}-operations-host"
  namespace           = "AWS/AutoScaling"
  metric_name         = "GroupInServiceInstances"
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 15
  dimensions          = { AutoScalingGroupName = aws_autoscaling_group.operations.name }
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_ssm_parameter" "cloudwatch_agent" {
  #checkov:skip=CKV2_AWS_34:It has no secret, and every instance reads it.

  name = "AmazonCloudWatch-${local.name}"
  type = "String"
  value = jsonencode({
    metrics = {
      namespace         = local.name
      append_dimensions = { AutoScalingGroupName = "$${aws:AutoScalingGroupName}" }
      metrics_collected = {
        mem  = { measurement = ["mem_used_percent"] }
        swap = { measurement = ["swap_used_percent"] }
        disk = { measurement = ["used_percent"], resources = ["/"] }
      }
    }
  })
}
